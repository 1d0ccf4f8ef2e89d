// What all pages do with a script; without one they work through plain forms.
import { copyButtons } from "./copy.js";
import { questions } from "./questions.js";
import { outerLinks } from "./links.js";
import { selection, suggestDags } from "./lists.js";
import { live } from "./live.js";
import { editor } from "./editor.js";
import { previewRequests } from "./try.js";
import { backTest } from "./backtest.js";

document.documentElement.classList.add("with-script");
outerLinks();
copyButtons();
questions();
selection();
suggestDags();
live();
editor();
previewRequests();
backTest();

// The scripts of all pages; without scripts, the pages work through plain forms.
import { copyButtons } from "./copy.js";
import { confirmations } from "./confirmations.js";
import { htmxRules } from "./htmx.js";
import { outerLinks } from "./links.js";
import { selection, suggestDags } from "./lists.js";
import { mapping } from "./mapping.js";
import { live } from "./live.js";
import { editor } from "./editor.js";
import { preview } from "./preview.js";
import { backTest } from "./backtest.js";
import { toasts } from "./toasts.js";
import { trees } from "./tree.js";

document.documentElement.classList.add("with-script");
htmxRules();
toasts();
outerLinks();
copyButtons();
confirmations();
selection();
suggestDags();
live();
editor();
preview();
backTest();
trees();
mapping();

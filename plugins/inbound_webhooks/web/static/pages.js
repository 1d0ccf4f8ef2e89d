// The scripts of all pages; without scripts, the pages work through plain forms.
import { copyButtons } from "./copy.js";
import { confirmations } from "./confirmations.js";
import { htmxRules } from "./htmx.js";
import { outerLinks } from "./links.js";
import { selection, suggestDags } from "./lists.js";
import { replaySelection } from "./replay_selection.js";
import { editor } from "./editor.js";
import { preview } from "./preview.js";
import { backTest } from "./backtest.js";
import { shell } from "./shell.js";
import { times } from "./times.js";
import { toasts } from "./toasts.js";

document.documentElement.classList.add("with-script");
htmxRules();
toasts();
shell();
times();
outerLinks();
copyButtons();
confirmations();
selection();
suggestDags();
replaySelection();
editor();
preview();
backTest();

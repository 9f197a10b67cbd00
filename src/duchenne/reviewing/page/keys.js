// Which key does what. Letters are those that are printed on the key, digits those of the row above them.

import {$, au, element} from "./api.js";

export const KEYS = {1: "1", 2: "2", 4: "4", 5: "5", 6: "6", 7: "7", 9: "9", 10: "0", 12: "q", 14: "w", 15: "e", 17: "r", 20: "t", 23: "a", 24: "s", 25: "f", 26: "g", 45: "v"};

const NEXT_SIDE = {"": "L", L: "R", R: "B", B: ""}, NEXT_CERTAINTY = {"": "uncertain", uncertain: "certain", certain: ""};
// What a focused element keeps for itself: a text field everything, a list what moves in it, a button what presses it.
const KEPT = [["textarea, input:not([type=checkbox], [type=file])", /./], ["select", /^( |Enter|Escape|Arrow.*|Home|End|Page.*)$/], ["button, input", /^( |Enter)$/]];
const keeps = event => KEPT.some(([kind, keys]) => event.target.closest(kind) && keys.test(event.key));
const plain = (event, ...keys) => !event.shiftKey && keys.includes(event.key.toLowerCase());

// Listens to the keyboard; `act` is what can be done. Gives `help()`, the list for those who ask.
export function keyboard(app, act) {
  const {player, curves, coding, canCode} = app, {panel} = act;
  const turn = (field, order) => { const code = panel.chosen; if (code?.kind === "au" && canCode()) coding.edit(code.id, {[field]: order[code[field]] ?? ""}); };
  const step = event => {
    player.pause();
    player.seek(player.index + (event.key === "ArrowRight" ? 1 : -1) * (event.shiftKey ? 10 : 1));
    curves.follow();
  };
  const actions = [
    ["Space", "play, stop", event => event.key === " ", () => player.toggle()],
    ["← →", "one frame back, on (with Shift ten)", event => event.key === "ArrowLeft" || event.key === "ArrowRight", step],
    ["Home End", "first, last frame", event => event.key === "Home" || event.key === "End", event => { player.seek(event.key === "Home" ? 0 : player.last); curves.follow(); }],
    [", .", "slower, faster", event => event.key === "," || event.key === ".", event => act.speed(event.key === "." ? 1 : -1)],
    ["L", "loop over the selected code, the episode here, or the view", event => plain(event, "l"), act.loop],
    ["Z", "zoom to the face", event => plain(event, "z"), act.zoom],
    ["M", "sound", event => plain(event, "m"), () => $("sound").click()],
    ["Shift 1-5", "intensity A to E of the selected code", event => event.shiftKey && /^Digit[1-5]$/.test(event.code), event => panel.grade(Number(event.code.slice(5)) - 1)],
    ["+ -", "zoom the timeline in, out", event => event.key === "+" || event.key === "-", event => curves.zoom(event.key === "+" ? .5 : 2)],
    ["H", "whole recording in the timeline", event => plain(event, "h"), () => curves.look(...curves.whole)],
    ["C", "coded range: begin, end", event => plain(event, "c"), () => panel.press("coded")],
    ["X", "cannot be judged: begin, end", event => plain(event, "x"), () => panel.press("unknown")],
    ["N", "nobody moves in this recording", event => plain(event, "n"), () => panel.press("none")],
    ["B", "side: left, right, both", event => plain(event, "b"), () => turn("side", NEXT_SIDE)],
    ["U", "sure, unsure", event => plain(event, "u"), () => turn("certainty", NEXT_CERTAINTY)],
    ["I O", "onset, offset of the selected code at this frame", event => plain(event, "i", "o", "[", "]"), event => panel.boundary(plain(event, "i", "[") ? "onset_s" : "offset_s")],
    ["↑ ↓", "code before, after", event => event.key === "ArrowUp" || event.key === "ArrowDown", event => panel.walk(event.key === "ArrowDown" ? 1 : -1)],
    ["Delete", "remove the selected code", event => event.key === "Delete" || event.key === "Backspace", () => { if (panel.chosen && canCode()) coding.remove(coding.selected); }],
    ["P D", "previous, next difference", event => plain(event, "p", "d"), event => act.differ(plain(event, "d") ? 1 : -1)],
    ["Esc", "select nothing", event => event.key === "Escape", () => panel.select(null)],
    ["?", "these keys", event => event.key === "?", () => $("help").showModal()],
  ];

  addEventListener("keydown", event => {
    if ($("help").open || keeps(event) || event.altKey) return;
    if (event.target.closest("[role=tablist]") && ["ArrowLeft", "ArrowRight"].includes(event.key)) {
      const name = act.tabs[(act.tabs.findIndex(one => event.target.id === "tab-" + one) + (event.key === "ArrowRight" ? 1 : 2)) % 3];
      act.tab(name); $("tab-" + name).focus(); event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey) {
      const key = event.key.toLowerCase();
      if (!canCode() || !["z", "y"].includes(key)) return;
      if (key === "y" || event.shiftKey) coding.redo(); else coding.undo();
      event.preventDefault();
      return;
    }
    const digit = event.shiftKey ? undefined : /^Digit(\d)$/.exec(event.code)?.[1];
    const number = Object.keys(KEYS).find(one => KEYS[one] === (digit ?? event.key.toLowerCase()));
    const action = digit && number ? undefined : actions.find(([, , fits]) => fits(event));  // French ones have - on the 6
    if (action) action[3](event);
    else if (number !== undefined && !event.shiftKey && !event.repeat) panel.toggle(Number(number));
    else return;
    event.preventDefault();
  });

  // Who chose with the pointer goes on with the keys of the page; who chose with keys stays there.
  let pointed = false;
  addEventListener("pointerdown", () => { pointed = true; }, true);
  addEventListener("keydown", () => { pointed = false; }, true);
  for (const [name, kinds] of [["click", "button, [type=checkbox]"], ["change", "select, [type=file]"]])
    addEventListener(name, event => { if (pointed) event.target.closest(kinds)?.blur(); });

  const line = (keys, what) => element("p", {}, element("kbd", {}, keys), element("span", {}, what));
  return {help: () => [
    ...actions.map(([keys, what]) => line(keys, what)), line("Ctrl Z", "undo; with Shift, or Ctrl Y, redo"),
    ...app.state.aus.map(one => line((KEYS[one.au] ?? "").toUpperCase(), `${au(one.au)} ${one.name}: onset, offset`)),
  ]};
}

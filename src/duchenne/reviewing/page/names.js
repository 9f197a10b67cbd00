// The names beside the timeline: buttons that code, and what an action unit looks like for who points at one.

import {$, au, element} from "./api.js";
import {KEYS} from "./keys.js";

export function names(aus, toggle, stretch) {
  const made = aus.map(one => {
    const button = element("button", {"data-au": one.au, "aria-pressed": "false", "aria-describedby": "tip", onclick: () => toggle(one.au)}, element("b", {}, au(one.au) + " "), KEYS[one.au] ? element("kbd", {}, KEYS[one.au].toUpperCase()) : null, element("small", {}, one.name));
    button.setAttribute("aria-label", `${au(one.au)} ${one.name}, key ${KEYS[one.au]}`);
    for (const name of ["pointerenter", "focus"]) button.addEventListener(name, () => tip(one, button));
    for (const name of ["pointerleave", "blur"]) button.addEventListener(name, () => { $("tip").hidden = true; });
    return element("div", {}, button, element("span", {class: "value", "data-value": one.au}));
  });
  const coded = element("div", {}, element("button", {onclick: stretch}, element("b", {}, "coded"), element("small", {}, "what was coded")));
  $("names").replaceChildren(element("div", {class: "axis"}), coded, ...made);
}

function tip(one, button) {
  const box = button.getBoundingClientRect(), place = $("tip");
  const picture = (name, what) => element("figure", {}, element("img", {src: `page/${name}.jpg`, alt: what, width: 155, height: 155}), element("figcaption", {}, what));
  place.replaceChildren(element("strong", {}, `${au(one.au)} ${one.name}`), element("div", {}, one.seen), picture("neutral", "neutral"), picture("au_" + String(one.au).padStart(2, "0"), `drawn example of ${au(one.au)}`));
  place.hidden = false;
  place.style.left = Math.min(box.right + 8, innerWidth - 370) + "px";
  place.style.top = Math.max(4, Math.min(box.top - 60, innerHeight - place.offsetHeight - 8)) + "px";
}

// From codes to a detector: started, watched and cancelled here; its numbers in words; what to code next.

import {$, ask, au, element, note, query, send} from "./api.js";
import {clock} from "./curves.js";

export class Teach {
  constructor(app) {
    Object.assign(this, {app, detector: null, timer: null});
    $("fit").addEventListener("click", () => this.start("fit", {coder: $("coder").value.trim(), model: $("model").value}));
    $("detect").addEventListener("click", () => { $("tab-teach").click(); this.start("detect", {}); });
    $("copy").addEventListener("click", () => { $("tab-teach").click(); this.start(`recordings/${this.app.key}/copy`, {}); });
    $("cancel").addEventListener("click", async () => {
      try { this.show(await ask("job", {method: "DELETE"})); } catch (error) { note($("warning"), error.message); }
    });
    $("next").addEventListener("click", () => this.list());
    $("order").addEventListener("change", () => this.list());
  }

  threshold(number) { return this.detector?.aus.find(one => one.au === au(number))?.threshold ?? null; }

  async start(path, body) {
    try { this.show(await send("POST", path, body)); this.watch(); } catch (error) { note($("warning"), error.message); }
  }

  watch() {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      try { this.show(await ask("job")); } catch { this.watch(); }
    }, 500);
  }

  async refresh() {
    try { this.detector = await ask("detector"); } catch (error) { note($("warning"), error.message); }
    this.words();
    try {
      const job = await ask("job");
      if (job) this.show(job, true);
    } catch (error) { note($("warning"), error.message); }
  }

  async show(job, quietly = false) {
    const running = job.state === "running";
    $("job").hidden = false; $("cancel").hidden = !running; $("fit").disabled = running;
    const said = {running: `step ${job.step + 1} of ${job.steps.length}: ${job.steps[job.step]}`, done: "done", failed: "failed", cancelled: job.name === "detect" ? "cancelled; the tables that were finished stay" : "cancelled; nothing was changed"}[job.state];
    $("job-step").textContent = `${said} (${Math.round(job.seconds)} s)`;
    $("job-bar").hidden = !running;
    if (job.done === null) $("job-bar").removeAttribute("value"); else $("job-bar").value = job.done;
    $("job-lines").textContent = job.state === "done" ? "" : job.lines.join("\n");
    if (running) { this.watch(); return; }
    if (quietly || job.state !== "done") return;
    note($("warning"), "");
    try { this.detector = await ask("detector"); } catch (error) { note($("warning"), error.message); }
    this.words();
    await this.app.renew();
  }

  words() {
    const found = this.detector;
    if (!found) { $("detector").replaceChildren(); return; }
    const row = (one, kind, word) => element("div", {class: "au-words"}, element("b", {class: kind}, `${one.au} ${one.name}: ${word}`), element("div", {}, one.sentence));
    $("detector").replaceChildren(element("h2", {}, "The detector that was fitted last"), ...found.notes.map(text => element("p", {class: "note"}, text)),
      ...found.aus.map(one => row(one, one.passed ? "yes" : "no", one.passed ? "decides" : "probability only")), ...found.left_out.map(one => row(one, "no", "not learned")));
  }

  async list() {
    try {
      const found = await ask("next?" + query({by: $("order").value, coder: $("coder").value.trim()}));
      const names = new Map(this.app.state.recordings.map(one => [one.key, one.source]));
      $("nexts").tBodies[0].replaceChildren(...found.map(one => element("tr", {class: "go", onclick: () => this.app.open(one.key, one.onset_s, one.face)}, element("td", {}, element("button", {}, names.get(one.key))), element("td", {}, String(one.face)), element("td", {}, clock(one.onset_s, .1)), element("td", {}, one.au))));
      note($("next-note"), found.length ? "" : "Nothing is left to code.");
    } catch (error) { $("nexts").tBodies[0].replaceChildren(); note($("next-note"), error.message); }
  }
}

// What pages do beyond what they are without a script: they stay up to date, and are quicker to use.
"use strict";

const later = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// --- times: "3 min ago" instead of a date, which stays as the title

function ago(seconds) {
  const far = Math.abs(seconds);
  const [number, unit] =
    far < 90
      ? [far, "s"]
      : far < 5400
        ? [far / 60, "min"]
        : far < 172_800
          ? [far / 3600, "h"]
          : [far / 86_400, "d"];
  const text = `${Math.round(number)} ${unit}`;
  return seconds < 0 ? `in ${text}` : `${text} ago`;
}

function tellTimes(root = document) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title ||= time.textContent;
    const text = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}

// --- parts: what has changed on the server replaces what is shown

const waiting = new Map();

/** Replaces a part. A form that somebody fills in is left alone until they have left it. */
function replacePart(id, html) {
  const old = document.getElementById(id);
  if (!old) return;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  if (focused?.closest("form, details.confirm[open]")) {
    waiting.set(id, html);
    return;
  }
  const links = focused ? [...old.querySelectorAll("a, summary")] : [];
  const place = links.indexOf(focused);
  const stop = [...old.querySelectorAll("a")].findIndex(({ tabIndex }) => tabIndex === 0);
  old.outerHTML = html;
  const fresh = document.getElementById(id);
  tellTimes(fresh);
  if (fresh.closest("#matrix")) beOneStop(fresh, stop);
  if (place >= 0) fresh.querySelectorAll("a, summary")[place]?.focus();
  htmx.process(fresh);
}

addEventListener("focusout", () => {
  setTimeout(() => {
    for (const [id, html] of waiting) {
      waiting.delete(id);
      replacePart(id, html);
    }
  });
});

const versions = () => [...document.querySelectorAll("[data-v]")].map((each) => each.dataset.v);
const say = (text) => (document.getElementById("contact").textContent = text);

let stream = null;
let pause = 1000;
let reloadedAt = 0;

function follow() {
  const url = document.getElementById("content").dataset.live;
  if (!url || stream || document.hidden) return;
  const shown = versions();
  const said = `n=${shown.length}&v=${encodeURIComponent(versionsForUrl(shown))}`;
  stream = new EventSource(`${url}${url.includes("?") ? "&" : "?"}${said}`);
  stream.onopen = () => {
    pause = 1000;
    say("");
  };
  stream.addEventListener("parts", ({ data }) => {
    for (const [id, html] of JSON.parse(data)) replacePart(id, html);
  });
  stream.addEventListener("end", () => {
    stream.close();
    stream = null;
    delete document.getElementById("content").dataset.live;
  });
  stream.addEventListener("reload", () => {
    stream.close();
    const wait = Math.max(0, reloadedAt + 5000 - performance.now());
    setTimeout(() => location.reload(), wait);
  });
  // By itself it would come again with the versions that it began with.
  stream.onerror = async () => {
    stream?.close();
    stream = null;
    if (pause > 1000) say("No contact with the control plane: what you see may be old.");
    await later(pause);
    pause = Math.min(pause * 2, 15_000);
    follow();
  };
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return follow();
  stream?.close();
  stream = null;
});

// --- logs: text, never HTML

function followLog() {
  const log = document.getElementById("log");
  if (!log) return;
  log.scrollTop = log.scrollHeight;
  if (!log.dataset.log) return;
  const box = document.getElementById("follow");
  box.parentElement.hidden = false;
  const url = new URL(log.dataset.log, location.href);
  let source = null;
  let ended = false;
  const close = () => {
    source?.close();
    source = null;
  };
  const open = () => {
    if (source || ended || document.hidden) return;
    source = new EventSource(url);
    source.addEventListener("log", ({ data, lastEventId }) => {
      url.searchParams.set("offset", lastEventId);
      document.getElementById("no-log")?.remove();
      log.append(JSON.parse(data));
      if (box.checked) log.scrollTop = log.scrollHeight;
    });
    source.addEventListener("end", () => {
      ended = true;
      close();
      box.parentElement.hidden = true;
    });
    // It comes again by itself, except after an answer that is no stream: of a proxy, during a restart.
    source.onerror = () => {
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      setTimeout(open, 5000);
    };
  };
  // A browser has six connections for all of its tabs.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
}

// --- charts

/** What stands below a chart: times of day, with the date where it is another; of many days the dates alone. In UTC. */
function timesBelow(_, splits, _axis, _space, step) {
  let before = "";
  return splits.map((seconds) => {
    const [date, time] = new Date(seconds * 1000).toISOString().split("T");
    if (step >= 86_400) return date.slice(5);
    const day = date === before ? "" : `\n${date}`;
    before = date;
    return `${time.slice(0, step >= 60 ? 5 : 8)}${day}`;
  });
}

function drawCharts() {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  for (const place of document.querySelectorAll("[data-chart]")) {
    const { label, unit, data } = JSON.parse(place.dataset.chart);
    const grid = { stroke: colour("--line"), width: 1 };
    const axis = { stroke: colour("--text"), grid, ticks: grid, font: "12px system-ui" };
    const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
    const series = {
      label,
      stroke: colour("--accent"),
      width: 2,
      points: { show: data[0].length < 60 },
    };
    const draw = () => {
      place.replaceChildren();
      return new uPlot(
        {
          width: place.clientWidth,
          height: 160,
          legend: { show: false },
          cursor: { y: false },
          tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
          scales: { y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.1 : 1] } },
          axes: [
            { ...axis, values: timesBelow, space: 76 },
            {
              ...axis,
              size: 64,
              values: (_, all) => all.map((each) => `${short.format(each)}${unit}`),
            },
          ],
          series: [{}, series],
        },
        data,
        place,
      );
    };
    let chart = draw();
    new ResizeObserver(() => {
      if (chart.width !== place.clientWidth)
        chart.setSize({ width: place.clientWidth, height: 160 });
    }).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      axis.stroke = colour("--text");
      grid.stroke = colour("--line");
      series.stroke = colour("--accent");
      chart.destroy();
      chart = draw();
    });
  }
}

// --- the matrix: one stop of the tab key, arrows within

/** Of the links in a part of the matrix, the tab key stops at one, or at none. */
function beOneStop(part, stop) {
  for (const [index, link] of part.querySelectorAll("a").entries())
    link.tabIndex = index === stop ? 0 : -1;
}

function walkMatrix() {
  const matrix = document.getElementById("matrix");
  if (!matrix) return;
  beOneStop(matrix, 0);
  matrix.addEventListener("focusin", ({ target }) => {
    for (const before of matrix.querySelectorAll('a[tabindex="0"]')) before.tabIndex = -1;
    target.tabIndex = 0;
  });
  matrix.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[
      event.key
    ];
    const cell = event.target.closest("td, th");
    if (!step || !cell) return;
    event.preventDefault();
    const rows = [...matrix.rows];
    let row = rows.indexOf(cell.parentElement);
    let column = cell.cellIndex;
    // Past the cells of projects that a host does not carry.
    let link = null;
    do {
      row += step[0];
      column += step[1];
      link = rows[row]?.cells[column]?.querySelector("a");
    } while (link === null);
    link?.focus();
  });
}

// --- what is shown once can be copied

document.addEventListener("click", ({ target }) => {
  const from = target.closest("[data-copy]")?.dataset.copy;
  if (!from) return;
  getSelection().selectAllChildren(document.getElementById(from));
  void navigator.clipboard?.writeText(document.getElementById(from).textContent).then(() => {
    target.textContent = "Copied";
  });
});

document.addEventListener("htmx:after:swap", () => tellTimes());
tellTimes();
setInterval(tellTimes, 10_000);
follow();
followLog();
drawCharts();
walkMatrix();

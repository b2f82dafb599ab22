"use strict";
// The report's page. Rows are made for what is in sight only; all text goes in as textContent.
const data = JSON.parse(document.getElementById("data").textContent);
const [BEGIN, DURATION, LINK, LENGTH, BYTES, NAME, KIND, FOUND, FRAMES] = Array(9).keys();
const rows = data.rows, links = data.links;
const $ = id => document.getElementById(id);
const linkName = link => links[link][2] ? `${links[link][1]} > ${links[link][2]}` : links[link][1];
const spaced = hex => hex.replace(/(..)(?=.)/g, "$1 ");
const seconds = us => (us / 1e6).toFixed(6);

function element(parent, name, cls, text) {
  const made = document.createElement(name);
  if (cls) made.className = cls;
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

// A list of many lines of different heights, of which only those in sight exist.
class List {
  constructor(box, height, draw) {
    this.box = box;
    this.height = height;  // of the line of a row, in pixels
    this.draw = draw;
    this.made = new Map();
    this.space = element(box, "div");
    this.show([]);
    box.addEventListener("scroll", () => this.fill());
    new ResizeObserver(() => this.fill()).observe(box);
  }
  show(shown) {
    this.shown = shown;
    this.tops = new Float64Array(shown.length + 1);
    shown.forEach((row, at) => { this.tops[at + 1] = this.tops[at] + this.height(row); });
    this.space.style.height = `${this.tops[shown.length]}px`;
    this.made.forEach(line => line.remove());
    this.made.clear();
    this.fill();
  }
  fill() {
    const top = this.box.scrollTop - 200, bottom = this.box.scrollTop + this.box.clientHeight + 200;
    let low = 0, high = this.shown.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle + 1] < top) low = middle + 1; else high = middle;
    }
    const wanted = new Set();
    for (let at = low; at < this.shown.length && this.tops[at] <= bottom; at++) {
      wanted.add(at);
      if (!this.made.has(at)) {
        const line = this.draw(this.shown[at]);
        line.style.top = `${this.tops[at]}px`;
        this.box.append(line);
        this.made.set(at, line);
      }
    }
    this.made.forEach((line, at) => { if (!wanted.has(at)) { line.remove(); this.made.delete(at); } });
  }
}

// --- the table

const LINE = 24, FRAME = 18, BAR = 16;
const open = new Set();
const shownFrames = row => rows[row][FRAMES].length || 1;
const height = row => LINE + 1 + (open.has(row) ? shownFrames(row) * FRAME + BAR : 0);

function frameText([us, kind, raw], row) {
  if (kind === 2) return `... ${raw}`;
  const link = links[row[LINK]];
  return `${seconds(us).padStart(12)}  ${kind ? link[2] || "?" : link[1]}  ${spaced(raw)}`;
}

function drawMessage(number) {
  const row = rows[number];
  const message = document.createElement("div");
  message.className = "message";
  const line = element(message, "div", "row");
  line.setAttribute("role", "row");
  line.tabIndex = 0;
  line.setAttribute("aria-expanded", open.has(number));
  element(line, "span", "number", seconds(row[BEGIN]));
  element(line, "span", "number", row[DURATION] ? `${(row[DURATION] / 1e3).toFixed(3)} ms` : "");
  element(line, "span", "number", linkName(row[LINK]));
  element(line, "span", "number", row[LENGTH]);
  const text = [row[NAME], row[FOUND]].filter(Boolean).join("; ") || (row[KIND] ? data.kinds[row[KIND]] : "");
  const what = element(line, "span", `kind${row[KIND]}`, text || spaced(row[BYTES]));
  what.title = text;
  element(line, "span", "bytes", spaced(row[BYTES]));
  const toggle = () => { open.has(number) ? open.delete(number) : open.add(number); table.show(table.shown); };
  line.addEventListener("click", toggle);
  line.addEventListener("keydown", event => { if (event.key === "Enter") toggle(); });
  if (open.has(number)) {
    const text = row[FRAMES].map(frame => frameText(frame, row)).join("\n");
    const frames = element(message, "pre", "frames", text || "the frames of so many messages are not in this report");
    frames.style.height = `${shownFrames(number) * FRAME + BAR}px`;
  }
  return message;
}

const table = new List($("table"), height, drawMessage);
const columns = [["time", BEGIN], ["duration", DURATION], ["link", LINK], ["length", LENGTH], ["service", NAME], ["bytes", BYTES]];
let sorted = BEGIN, isDown = false;

function words(row) {
  const link = links[row[LINK]];
  return `${link[0]} ${linkName(row[LINK])} ${row[BYTES]} ${spaced(row[BYTES])} ${row[NAME]} ${row[FOUND]}`.toLowerCase();
}

function update() {
  const wanted = $("filter").value.trim().toLowerCase(), kind = $("kind").value;
  const found = [];
  rows.forEach((row, number) => {
    if ((kind === "" || row[KIND] === Number(kind)) && (!wanted || words(row).includes(wanted))) found.push(number);
  });
  $("count").textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} messages`;
  found.sort((a, b) => rows[a][BEGIN] - rows[b][BEGIN] || a - b);
  sequence.show(found);
  const sign = isDown ? -1 : 1;
  const value = sorted === LINK ? number => linkName(rows[number][LINK]) : number => rows[number][sorted];
  table.show(found.slice().sort((a, b) => {
    const one = value(a), two = value(b);
    return one < two ? -sign : one > two ? sign : a - b;
  }));
  $("head").querySelectorAll("button").forEach((button, at) => {
    const [name, column] = columns[at];
    button.textContent = column === sorted ? `${name} ${isDown ? "▼" : "▲"}` : name;
  });
}

columns.forEach(([name, column]) => {
  element($("head"), "button", "", name).addEventListener("click", () => {
    isDown = sorted === column && !isDown;
    sorted = column;
    update();
  });
});
data.kinds.forEach((name, kind) => { element($("kind"), "option", "", name).value = kind; });
let later;
$("filter").addEventListener("input", () => { clearTimeout(later); later = setTimeout(update, 100); });
$("kind").addEventListener("change", update);

// --- the sequence chart

const SVG = "http://www.w3.org/2000/svg", STEP = 30, TIME = 90;
const apart = () => Math.max(130, ($("sequence").clientWidth - TIME - 40) / Math.max(1, data.nodes.length));

function shape(svg, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  if (text !== undefined) made.textContent = text;
  svg.append(made);
  return made;
}

function drawArrow(number) {
  const row = rows[number], [, , , from, to] = links[row[LINK]], kind = `kind${row[KIND]}`;
  const width = apart(), x = node => TIME + width * (node + 0.5);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("width", TIME + width * data.nodes.length);
  svg.setAttribute("height", STEP);
  data.nodes.forEach((_, node) => shape(svg, "line", {x1: x(node), x2: x(node), y1: 0, y2: STEP}));
  shape(svg, "text", {x: 6, y: 19, class: "time"}, seconds(row[BEGIN]));
  const begin = x(from), end = to < 0 || to === from ? begin + (from ? -width : width) * 0.4 : x(to), sign = Math.sign(end - begin);
  const dash = row[KIND] > 1 || to < 0 ? "5 4" : "none";
  shape(svg, "line", {x1: begin, x2: end, y1: 22, y2: 22, class: `arrow ${kind}`, "stroke-dasharray": dash});
  shape(svg, "path", {d: `M${end} 22l${-8 * sign} -4v8z`, class: kind});
  const mark = row[KIND] === 1 ? "✗ " : row[KIND] > 1 ? "! " : "";
  const text = mark + (row[NAME] || row[FOUND] || `[${row[LENGTH]}] ${spaced(row[BYTES])}`);
  const room = Math.max(16, Math.floor(Math.abs(end - begin) / 6.4));
  const label = {x: (begin + end) / 2, y: 16, class: kind, "text-anchor": "middle"};
  const shown = shape(svg, "text", label, text.length > room ? `${text.slice(0, room - 1)}…` : text);
  shape(shown, "title", {}, text);
  return svg;
}

const names = document.createElement("div");
$("sequence").before(names);
names.className = "scroll";
const sequence = new List($("sequence"), () => STEP, drawArrow);
function drawNames() {
  names.replaceChildren();
  const width = apart(), svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("width", TIME + width * data.nodes.length);
  svg.setAttribute("height", 20);
  data.nodes.forEach((name, node) => {
    shape(svg, "text", {x: TIME + width * (node + 0.5), y: 15, "text-anchor": "middle", fill: "currentColor"}, name);
  });
  names.append(svg);
}
names.style.overflowX = "hidden";
$("sequence").addEventListener("scroll", () => { names.scrollLeft = $("sequence").scrollLeft; });
window.addEventListener("resize", () => { drawNames(); sequence.show(sequence.shown); });
drawNames();
update();

// --- figures

// No button that sends the figure to a server.
const CONFIG = {responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: ""};
const dark = matchMedia("(prefers-color-scheme: dark)");
function drawFigures() {
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  Object.entries(data.figures).forEach(([id, figure]) => {
    const axis = {gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line")};
    const layout = {...figure.layout, paper_bgcolor: colour("--panel"), plot_bgcolor: colour("--panel"),
      font: {color: colour("--text")}, xaxis: {...figure.layout.xaxis, ...axis}, yaxis: {...figure.layout.yaxis, ...axis}};
    Plotly.react(id, figure.data, layout, CONFIG);
  });
}
dark.addEventListener("change", drawFigures);
drawFigures();

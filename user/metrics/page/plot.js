// SPDX-License-Identifier: GPL-2.0
// Plots over time as SVG: lines, or areas one upon the other (those of a series
// that is `below` hang down from zero). Drawn anew for each snapshot.

const PLOT_MIN_SECONDS = 60;
const LABEL_WIDTH = 48; // least distance of two of them, on the axis of time
const GAP_SECONDS = 12; // between snapshots that no line joins

// A round number that is at least value, and a step that divides it.
const roundUp = (value) => {
	if (!(value > 0))
		return { top: 1, step: 1 };
	const power = 10 ** Math.floor(Math.log10(value));
	const step = [0.25, 0.5, 1, 2, 2.5, 5].find((factor) => value <= factor * power * 4) * power;
	return { top: Math.ceil(value / step - 1e-9) * step, step };
};

class Plot {
	// options: title, unit (formats a value), stacked, whole (no ticks between integers)
	constructor(parent, options) {
		this.options = options;
		this.svg = shape("svg", { role: "img" });
		this.legend = element("ul", { class: "legend" });
		parent.append(element("figure", {},
			element("figcaption", {}, options.title), this.svg, this.legend));
	}

	// series: [{name, color, points: [[time, value], ...], below, now: text}]
	draw(series, end) {
		const { clientWidth: width, clientHeight: height } = this.svg;
		if (!width)
			return;
		const began = Math.min(end, ...series.flatMap(({ points }) => points.slice(0, 1).map(([t]) => t)));
		const span = Math.min(HISTORY_SECONDS, Math.max(PLOT_MIN_SECONDS, end - began));
		const layers = this.options.stacked ? this.stack(series) : series.map((one) => ({
			...one, points: one.points.map(([t, value]) => [t, 0, value]) }));
		this.frame = { left: 68, right: width - 6, top: 8, bottom: height - 21, end, span };
		this.scale(layers);
		this.svg.replaceChildren(...this.axes(), ...layers.flatMap((layer) => this.layer(layer)));
		this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
		this.explain(series);
	}

	// The legend, and the same for who cannot see the plot.
	explain(series) {
		// a series may be in two parts, above and below
		const named = [...new Map(series.map((one) => [one.name, one])).values()];
		this.legend.replaceChildren(...named.map(({ name, color, now }) => {
			const swatch = element("i");
			swatch.style.background = color;
			return element("li", {}, swatch, element("span", {}, name), element("b", {}, now));
		}));
		this.svg.setAttribute("aria-label", `${this.options.title}. ${named.map(({ name, now }) =>
			`${name}: ${now}`).join("; ") || "No data yet"}`);
	}

	// Points become [time, from, to], upon those of the series before.
	stack(series) {
		const heights = [new Map(), new Map()];
		return series.map((one) => {
			const height = heights[one.below ? 1 : 0];
			const sign = one.below ? -1 : 1;
			return { ...one, points: one.points.map(([t, value]) => {
				const from = height.get(t) || 0;
				height.set(t, from + (value || 0));
				return [t, sign * from, sign * (from + (value || 0))];
			}) };
		});
	}

	scale(layers) {
		const values = layers.flatMap(({ points }) => points.map((point) => point[2] ?? 0));
		const most = Math.max(0, ...values), least = Math.min(0, ...values);
		const { step } = roundUp(Math.max(most, -least));
		this.step = this.options.whole ? Math.max(1, step) : step;
		this.high = Math.max(Math.ceil(most / this.step - 1e-9), least < 0 ? 0 : 1) * this.step;
		this.low = -Math.ceil(-least / this.step - 1e-9) * this.step;
	}

	x(time) {
		const { left, right, end, span } = this.frame;
		return right - (end - time) / span * (right - left);
	}

	y(value) {
		const { top, bottom } = this.frame;
		return bottom - (value - this.low) / (this.high - this.low) * (bottom - top);
	}

	axes() {
		const { left, right, bottom, end, span } = this.frame;
		const made = [];
		for (let value = this.low; value <= this.high + this.step / 2; value += this.step) {
			const y = this.y(value), zero = Math.abs(value) < this.step / 2;
			made.push(shape("line", { class: zero ? "zero" : "grid", x1: left, x2: right, y1: y, y2: y }),
				shape("text", { x: left - 6, y: y + 4, "text-anchor": "end" },
					zero ? "0" : this.options.unit(Math.abs(value)).replace(/\.0+\b/, "")));
		}
		const apart = [15, 30, 60, 120].find((step) =>
			step === 120 || (right - left) / span * step >= LABEL_WIDTH);
		for (let ago = 0; ago <= span; ago += apart)
			made.push(shape("text", { x: this.x(end - ago), y: bottom + 17,
				"text-anchor": ago === 0 ? "end" : "middle" }, ago === 0 ? "now" :
				ago % 60 === 0 ? `${-ago / 60} min` : `${-ago} s`));
		return made;
	}

	// Runs of points that belong together: no line where there is no value.
	runs(points) {
		const runs = [];
		let last = null;
		for (const point of points) {
			if (point[2] !== null && point[0] >= this.frame.end - this.frame.span) {
				if (last === null || point[0] - last > GAP_SECONDS)
					runs.push([]);
				runs[runs.length - 1].push(point);
				last = point[0];
			} else {
				last = null;
			}
		}
		return runs;
	}

	layer({ color, points }) {
		const at = ([time], value) => `${this.x(time).toFixed(1)},${this.y(value).toFixed(1)}`;
		return this.runs(points).map((run) => {
			const tops = run.map((point) => at(point, point[2]));
			if (this.options.stacked) {
				const bottoms = run.map((point) => at(point, point[1])).reverse();
				const area = shape("path", { class: "area", d: `M${tops.join("L")}L${bottoms.join("L")}Z` });
				area.style.fill = color;
				return area;
			}
			// a run of one point is a dot
			const line = shape("path", { class: "line", d: `M${tops.join("L")}${run.length > 1 ? "" : "h.01"}` });
			line.style.stroke = color;
			return line;
		});
	}
}

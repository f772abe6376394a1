// SPDX-License-Identifier: GPL-2.0
// Numbers as people read them, and elements without markup in text: what a
// gateway is called by others must never become HTML.
"use strict";

const scale = (value, step, units) => {
	let unit = 0;
	while (Math.abs(value) >= step && unit < units.length - 1) {
		value /= step;
		unit++;
	}
	const digits = unit === 0 || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
	return `${value.toFixed(digits)} ${units[unit]}`;
};
const format = {
	rate: (bits) => scale(bits, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]),
	bytes: (bytes) => scale(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]),
	count: (count) => count.toLocaleString("en"),
	segments: (count) => count >= 100 ? count.toFixed(0) : Number(count.toFixed(1)).toString(),
	perSecond: (rate) => `${rate >= 10 ? rate.toFixed(0) : Number(rate.toFixed(1))}/s`,
	time: (us) => us < 1000 ? `${us.toFixed(0)} \u00b5s` : us < 100000 ?
		`${(us / 1000).toFixed(us < 10000 ? 2 : 1)} ms` : us < 1e6 ?
			`${(us / 1000).toFixed(0)} ms` : `${(us / 1e6).toFixed(2)} s`,
	percent: (share) => `${share > 0 && share < 0.01 ? "<1" : Math.round(share * 100)} %`,
	age: (seconds) => {
		const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
		const first = parts.findIndex(([size]) => seconds >= size);
		if (first < 0)
			return "0 s";
		return parts.slice(first, first + 2).map(([size, unit]) => {
			const count = Math.floor(seconds / size);
			seconds -= count * size;
			return count ? `${count} ${unit}` : "";
		}).join(" ").trim();
	},
};

const SVG = "http://www.w3.org/2000/svg";

// An element; of attributes, those that are null are left out. Children are text or elements.
const element = (name, attributes = {}, ...children) => {
	const made = document.createElement(name);
	for (const [key, value] of Object.entries(attributes))
		if (value !== null)
			made.setAttribute(key, value);
	made.append(...children);
	return made;
};
const shape = (name, attributes, ...children) => {
	const made = document.createElementNS(SVG, name);
	for (const [key, value] of Object.entries(attributes))
		made.setAttribute(key, value);
	made.append(...children);
	return made;
};

// SPDX-License-Identifier: GPL-2.0
// What the page has seen since it was opened: snapshots of /status.json, and the
// rates between them.

const HISTORY_SECONDS = 300;
const RATE_SECONDS = 4; // a rate is of so long: the gateway's samples are not all of one moment
const SERIES_MAX = 6;

class Past {
	constructor() {
		this.points = []; // oldest first: {time, status, remotes}; time in seconds
		this.slots = []; // colours: keys of the remotes that have one
	}

	static key(remote) {
		const address = remote.address.includes(":") ? `[${remote.address}]` : remote.address;
		return `${address}:${remote.port}`;
	}

	add(status) {
		const time = status.taken_us / 1e6;
		const last = this.last();
		if (last && (time < last.time || status.uptime_s < last.status.uptime_s))
			this.points = []; // another gateway, it was started anew
		else if (last && time === last.time)
			return;
		const remotes = new Map(status.remotes.map((remote) => [Past.key(remote), remote]));
		const point = { time, status, remotes };
		this.points.push(point);
		point.rates = this.rates(point, (of) => of.status.all);
		for (const [key, remote] of remotes)
			remote.rates = this.rates(point, (of) => of.remotes.get(key));
		while (this.points[0].time < time - HISTORY_SECONDS)
			this.points.shift();
	}

	last() {
		return this.points[this.points.length - 1];
	}

	// What totals have grown by, a second, up to a point; pick finds them in it.
	rates(point, pick) {
		const now = pick(point);
		const before = this.points.findLast((one) => one.time <= point.time - RATE_SECONDS) ||
			this.points[0];
		const then = pick(before);
		const seconds = point.time - before.time;
		const grown = (total) => {
			// of an entry that was not there yet all is new
			const by = total(now) - (then ? total(then) : 0);
			return seconds > 0 && by > 0 ? by / seconds : 0;
		};
		const ended = {};
		for (const code of Object.keys(now.ended))
			ended[code] = grown((of) => of.ended[code] || 0);
		return {
			seconds, up: 8 * grown((of) => of.bytes.up), down: 8 * grown((of) => of.bytes.down),
			kernel: 8 * grown((of) => of.bytes.kernel_up + of.bytes.kernel_down),
			begun: grown((of) => of.begun), retrans: grown((of) => of.wan.retrans), ended,
		};
	}

	// The remotes that have the most to show; each keeps its colour while it is among them.
	leaders() {
		const weight = ([key]) => this.points.reduce((sum, point) => {
			const remote = point.remotes.get(key);
			return remote ? sum + remote.rates.up + remote.rates.down + remote.flows : sum;
		}, 0);
		const top = [...this.last().remotes].map((entry) => [entry[0], weight(entry)])
			.filter(([, sum]) => sum > 0).sort((a, b) => b[1] - a[1]).slice(0, SERIES_MAX).map(([key]) => key);
		for (let i = 0; i < SERIES_MAX; i++)
			if (!top.includes(this.slots[i]))
				this.slots[i] = undefined;
		for (const key of top)
			if (!this.slots.includes(key))
				this.slots[this.slots.indexOf(undefined)] = key;
		return this.slots.map((key, slot) => ({ key, color: `var(--c${slot})` }))
			.filter(({ key }) => key !== undefined);
	}

	// [[time, value], ...]; value(point) is null where there is none. Of the first
	// point no rate is known.
	series(value) {
		return this.points.filter(({ rates }) => rates.seconds > 0)
			.map((point) => [point.time, value(point)]);
	}

	seriesOf(key, value) {
		return this.series((point) => {
			const remote = point.remotes.get(key);
			return remote ? value(remote) : null;
		});
	}
}

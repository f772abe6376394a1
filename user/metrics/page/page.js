// SPDX-License-Identifier: GPL-2.0
// The page itself: asks for a snapshot every two seconds and shows it.

const POLL_MS = 2000;
const byId = (id) => document.getElementById(id);
const past = new Past();
let paused = false;

// ---- plots ----

const plots = byId("plots");
const throughput = new Plot(plots, { title: "Throughput: down above, up below", unit: format.rate, stacked: true });
const outcomes = new Plot(plots, { title: "Connection outcomes: flows ended", unit: format.perSecond,
	stacked: true });
const rtt = new Plot(plots, { title: "Round trip of WAN legs", unit: format.time });
const cwnd = new Plot(plots, { title: "Congestion window of WAN legs, segments",
	unit: format.segments });
const engines = new Plot(plots, { title: "Flows by engine", unit: format.segments, stacked: true, whole: true });
const flows = new Plot(plots, { title: "Flows by state", unit: format.segments, stacked: true, whole: true });

const OUTCOME_COLORS = { closed: "var(--c2)", "client-reset": "var(--c4)", "remote-reset": "var(--c1)",
	refused: "var(--c3)", forwarded: "var(--c5)" };

const latest = (points) => points.length ? points[points.length - 1][1] : null;

const drawThroughput = (last, leaders) => {
	const rest = (direction) => (point) => {
		const shown = leaders.reduce((sum, { key }) => {
			const remote = point.remotes.get(key);
			return sum + (remote ? remote.rates[direction] : 0);
		}, 0);
		return Math.max(0, Math.round(point.rates[direction] - shown));
	};
	const series = ["down", "up"].flatMap((direction) => leaders.map(({ key, color }) => ({
		name: key, color, below: direction === "up", direction,
		points: past.seriesOf(key, (remote) => remote.rates[direction]) })));
	const others = ["down", "up"].map((direction) => ({ name: "others", color: "var(--c6)",
		below: direction === "up", direction, points: past.series(rest(direction)) }));
	if (others.some(({ points }) => points.some(([, value]) => value > 0)))
		series.push(...others);
	// one entry in the legend for both directions
	const now = (name) => ["down", "up"].map((direction) => {
		const found = series.find((one) => one.name === name && one.direction === direction);
		return `${direction} ${format.rate(latest(found.points) || 0)}`;
	}).join(", ");
	throughput.draw(series.map((one) => ({ ...one, now: now(one.name) })), last.time);
};

const drawWan = (plot, unit, leaders, last, value) => plot.draw(leaders.map(({ key, color }) => {
	const points = past.seriesOf(key, value);
	const now = latest(points);
	return { name: key, color, points, now: now === null ? "no leg" : unit(now) };
}), last.time);

const drawCounts = (plot, last, names, value, unit, color) => plot.draw(names.map((name, index) => ({
	name, color: color(name, index), points: past.series((point) => value(point, name)),
	now: unit(value(last, name)) })), last.time);

const draw = () => {
	const last = past.last();
	if (!last)
		return;
	const leaders = past.leaders();
	const numbered = (name, index) => `var(--c${index % 7})`;
	const ended = Object.keys(last.status.all.ended);
	drawThroughput(last, leaders);
	drawCounts(outcomes, last, ended, (point, code) => point.rates.ended[code] || 0, format.perSecond,
		(code) => OUTCOME_COLORS[code] || "var(--c6)");
	drawWan(rtt, format.time, leaders, last, (remote) => remote.wan.rtt_us && remote.wan.rtt_us.mean);
	drawWan(cwnd, format.segments, leaders, last, (remote) => remote.wan.cwnd && remote.wan.cwnd.mean);
	drawCounts(engines, last, Object.keys(last.status.engines), (point, engine) => point.status.engines[engine],
		format.count, numbered);
	drawCounts(flows, last, Object.keys(last.status.states), (point, state) => point.status.states[state],
		format.count, numbered);
};

// ---- tables ----

const twoLines = (first, second) => element("span", {}, first, element("small", {}, second));
const spread = (value, unit) => {
	if (!value)
		return "\u2013";
	return value.min === value.max ? unit(value.mean) :
		twoLines(unit(value.mean), `${unit(value.min)} \u2013 ${unit(value.max)}`);
};
const mean = (value) => value ? value.mean : -1;
const meter = (entries, limit) => {
	const share = limit ? entries / limit : 0;
	return element("meter", { min: 0, max: 1, high: 0.8, optimum: 0, value: share,
		"aria-label": format.percent(share) });
};
const failed = (row) => Object.entries(row.ended).reduce((sum, [code, count]) =>
	code === "closed" ? sum : sum + count, 0);

const remotesTable = new Table("remotes", "Remotes", [
	{ title: "Remote", text: (row) => Past.key(row), by: (row) => Past.key(row) },
	{ title: "Identity", wide: true, text: (row) => row.identity || "static", by: (row) => row.identity },
	{ title: "State", wide: true, text: (row) => row.draining ? "draining" : row.nexthop ? "router" : "active",
		tone: (row) => row.draining ? "fair" : "" },
	{ title: "Flows", number: true, text: (row) => twoLines(format.count(row.flows), `${format.count(row.begun)} begun`),
		by: (row) => row.flows },
	{ title: "Down", number: true, text: (row) => twoLines(format.rate(row.rates.down), format.bytes(row.bytes.down)),
		by: (row) => row.rates.down },
	{ title: "Up", number: true, text: (row) => twoLines(format.rate(row.rates.up), format.bytes(row.bytes.up)),
		by: (row) => row.rates.up },
	{ title: "RTT", number: true, text: (row) => spread(row.wan.rtt_us, format.time),
		by: (row) => mean(row.wan.rtt_us) },
	{ title: "Cwnd", wide: true, number: true, text: (row) => spread(row.wan.cwnd, format.segments),
		by: (row) => mean(row.wan.cwnd) },
	{ title: "Retrans", wide: true, number: true, text: (row) => format.count(row.wan.retrans),
		by: (row) => row.wan.retrans },
	{ title: "Backlog", wide: true, number: true, text: (row) => format.bytes(row.backlog.up + row.backlog.down),
		by: (row) => row.backlog.up + row.backlog.down },
	{ title: "Not closed in order", wide: true, number: true, text: (row) => format.count(failed(row)), by: failed,
		tone: (row) => failed(row) ? "fair" : "" },
], 4);
const outcomesTable = new Table("outcomes", "Connection outcomes since the start", [
	{ title: "Outcome", text: (row) => row.name },
	{ title: "Flows", number: true, text: (row) => format.count(row.value) },
	{ title: "Meaning", text: (row) => row.meaning },
]);
const roomTable = new Table("room", "How full tables and relays are", [
	{ title: "What", text: (row) => row.name },
	{ title: "Now", number: true, text: (row) => format.count(row.entries) },
	{ title: "At most", number: true, text: (row) => row.limit ? format.count(row.limit) : "\u2013" },
	{ title: "Full", text: (row) => meter(row.entries, row.limit) },
]);
const processesTable = new Table("processes", "Processes", [
	{ title: "Process", text: (row) => row.label },
	{ title: "State", text: (row) => row.state,
		tone: (row) => row.state === "serving" ? "good" : row.state === "off" ? "" : "bad" },
	{ title: "CPU", number: true, text: (row) => row.share === null ? "\u2013" : format.percent(row.share) },
	{ title: "Memory", number: true, text: (row) => format.bytes(row.resident) },
	{ title: "Restarts", number: true, text: (row) => format.count(row.restarts),
		tone: (row) => row.restarts ? "fair" : "" },
]);
const interfacesTable = new Table("interfaces", "Interfaces", [
	{ title: "Interface", text: (row) => row.dev },
	{ title: "Side", text: (row) => row.side.toUpperCase() },
	{ title: "Attached by", text: (row) => row.attach, tone: (row) => row.attach === "gone" ? "bad" : "" },
]);
const countersTable = new Table("counters", "Counters that are not zero", [
	{ title: "Counter", text: (row) => row.name },
	{ title: "Value", number: true, text: (row) => format.count(row.value) },
	{ title: "Part", wide: true, text: (row) => row.part },
	{ title: "Meaning", text: (row) => row.meaning },
]);

// CPU time is of one process: of another there is no share yet.
const processRows = (last) => {
	const before = past.points[Math.max(0, past.points.length - 3)];
	return last.status.processes.map((process, index) => {
		const then = before.status.processes[index];
		const seconds = last.time - before.time;
		const known = then && then.pid === process.pid && process.pid && seconds > 0;
		return { ...process, label: process.name === "relay" ? `relay ${process.index}` : process.name,
			share: known ? (process.cpu_us - then.cpu_us) / 1e6 / seconds : null };
	});
};

const fillTables = (last) => {
	const { status } = last;
	const room = { proxies: "proxies", ports: "ports", params: "sets of parameters", half_open: "half-open flows" };
	remotesTable.fill(status.remotes);
	byId("omitted").textContent = status.remotes_omitted ?
		`${format.count(status.remotes_omitted)} more are not shown` : "";
	outcomesTable.fill(status.outcomes.filter(({ value }) => value));
	roomTable.fill([
		...Object.entries(room).map(([name, label]) => ({ name: label, ...status.tables[name] })),
		...status.processes.filter((process) => "flows" in process).map((process) => ({
			name: `flows of relay ${process.index}`, entries: process.flows, limit: process.flow_limit })),
	]);
	processesTable.fill(processRows(last));
	interfacesTable.fill(status.interfaces);
	countersTable.fill(Object.entries(status.counters).flatMap(([part, counters]) =>
		counters.filter(({ value }) => value).map((counter) => ({ part, ...counter }))));
};

// ---- the top ----

const showState = (text, tone) => {
	const state = byId("state");
	if (state.textContent !== text) // a screen reader tells of every change
		state.textContent = text;
	state.className = `pill ${tone}`;
};

const fillTop = (last) => {
	const { status, rates } = last;
	const { all } = status;
	const tiles = [
		["Down", format.rate(rates.down), `${format.bytes(all.bytes.down)} in all`],
		["Up", format.rate(rates.up), `${format.bytes(all.bytes.up)} in all`],
		["Flows", format.count(all.flows), `${format.count(all.begun)} begun`],
		["New flows", format.perSecond(rates.begun), `${format.count(status.tables.half_open.entries)} half-open`],
		["WAN round trip", all.wan.rtt_us ? format.time(all.wan.rtt_us.mean) : "\u2013",
			all.wan.rtt_us ? `${format.time(all.wan.rtt_us.min)} \u2013 ${format.time(all.wan.rtt_us.max)}` :
				"no WAN leg"],
		["Retransmitted", format.perSecond(rates.retrans), `${format.count(all.wan.retrans)} segments in all`],
		["Kernel's share", rates.up + rates.down ? format.percent(rates.kernel / (rates.up + rates.down)) : "\u2013",
			"of the bytes now"],
	];
	showState(status.state, status.state === "running" ? "good" : "fair");
	byId("version").textContent = status.version;
	byId("uptime").textContent = `up ${format.age(status.uptime_s)}`;
	byId("tiles").replaceChildren(...tiles.map(([title, value, more]) => element("div", {},
		element("dt", {}, title), element("dd", {}, value, element("small", {}, more)))));
};

// ---- the loop ----

const poll = async () => {
	try {
		const answer = await fetch("/status.json", { cache: "no-store", signal: AbortSignal.timeout(8000) });
		if (!answer.ok)
			throw new Error(`status ${answer.status}`);
		past.add(await answer.json());
		fillTop(past.last());
		fillTables(past.last());
		draw();
	} catch (error) {
		showState("no answer", "bad");
		console.warn(error);
	}
};

const loop = async () => {
	if (!paused && !document.hidden)
		await poll();
	setTimeout(loop, POLL_MS);
};

byId("pause").addEventListener("click", () => {
	paused = !paused;
	byId("pause").setAttribute("aria-pressed", String(paused));
	byId("pause").textContent = paused ? "Go on" : "Pause";
});
addEventListener("resize", draw);
loop();

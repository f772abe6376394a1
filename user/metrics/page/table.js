// SPDX-License-Identifier: GPL-2.0
// Tables that are filled anew for each snapshot, and sorted by the column that is
// pressed. Cells are replaced, headers stay: a focus on them is kept.

class Table {
	// columns: {title, text(row) -> text or element, by(row) -> what to sort by, number, wide,
	// tone(row) -> class}; the first column heads its row. Without `by` a column is not sorted.
	constructor(id, caption, columns, sorted) {
		this.columns = columns;
		this.sorted = sorted ?? null; // index of a column; null: as given
		this.descending = true;
		this.rows = [];
		this.body = element("tbody");
		this.heads = columns.map((column, index) => this.head(column, index));
		document.getElementById(id).append(element("caption", { class: "hidden" }, caption),
			element("thead", {}, element("tr", {}, ...this.heads)), this.body);
	}

	static classes(column, more) {
		return [column.number ? "number" : "", column.wide ? "wide" : "", more || ""]
			.filter(Boolean).join(" ") || null;
	}

	head(column, index) {
		const head = element("th", { scope: "col", class: Table.classes(column) });
		if (!column.by) {
			head.append(column.title);
			return head;
		}
		const button = element("button", { type: "button" }, column.title);
		button.addEventListener("click", () => {
			this.descending = this.sorted === index ? !this.descending : Boolean(column.number);
			this.sorted = index;
			this.fill(this.rows);
		});
		head.append(button);
		return head;
	}

	fill(rows) {
		const by = this.sorted === null ? null : this.columns[this.sorted].by;
		const order = (a, b) => (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : 0) * (this.descending ? -1 : 1);
		this.rows = rows;
		this.heads.forEach((head, index) => {
			if (index === this.sorted)
				head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
			else
				head.removeAttribute("aria-sort");
		});
		this.body.replaceChildren(...(by ? [...rows].sort(order) : rows).map((row) =>
			element("tr", {}, ...this.columns.map((column, index) =>
				element(index ? "td" : "th", { scope: index ? null : "row",
					class: Table.classes(column, column.tone && column.tone(row)) },
				column.text(row))))));
		if (!rows.length)
			this.body.append(element("tr", {}, element("td", { colspan: this.columns.length },
				"Nothing yet.")));
	}
}

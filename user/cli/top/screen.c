/* SPDX-License-Identifier: GPL-2.0 */
/* The live view of sluice top (ncurses): a row a flow, sorted, filtered, chosen by keys. */
#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "top.h"

/* Lines above and below the rows. */
#define LINES_ABOVE 3
#define LINES_BELOW 1

/* No more than a tenth of the time is spent in asking. */
#define SPARE_FACTOR 10

#define KEY_ESCAPE 27

struct view {
	struct top *top;
	uint64_t chosen; /* the flow whose row is marked; 0: the first there is */
	size_t first; /* row at the top */
	bool detail; /* one flow in full */
	bool paused;
	bool typing; /* a filter */
	double next_s; /* CLOCK_MONOTONIC of the next look */
	char message[TOP_ERROR_MAX];
};

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void look(struct view *view)
{
	struct top *top = view->top;
	double spare = 0;

	if (top_look(top, view->message)) {
		view->message[0] = '\0';
		spare = top->sample.took_s * SPARE_FACTOR;
	}
	view->next_s = now_s() + (spare > top->delay_s ? spare : top->delay_s);
}

/* ---- drawing ---- */

static int row_room(void)
{
	return LINES - LINES_ABOVE - LINES_BELOW;
}

/* The place of the chosen flow among the rows. */
static size_t chosen_row(const struct view *view)
{
	for (size_t i = 0; i < view->top->shown_count; i++)
		if (view->top->shown[i]->id == view->chosen)
			return i;
	return 0;
}

static void draw_cells(int line, const struct top *top, const struct top_flow *flow)
{
	char cell[TOP_CELL_MAX];
	int at = 0;

	move(line, 0);
	clrtoeol();
	for (size_t i = 0; i < top_column_count && at < COLS; i++) {
		const struct top_column *column = &top_columns[i];
		const char *text = flow ? column->text(flow, cell) : column->title;
		int width = top->widths[i], room = COLS - at < width ? COLS - at : width;

		if (!flow && i == top->sort)
			attron(A_BOLD | A_UNDERLINE);
		if (column->right && room == width)
			mvprintw(line, at, "%*.*s", room, room, text);
		else
			mvprintw(line, at, "%-*.*s", room, room, text);
		if (!flow && i == top->sort)
			attroff(A_BOLD | A_UNDERLINE);
		at += width + 1;
	}
}

static void draw_rows(struct view *view)
{
	const struct top *top = view->top;
	size_t chosen = chosen_row(view), room = row_room() > 0 ? (size_t)row_room() : 0;

	if (chosen < view->first)
		view->first = chosen;
	if (room && chosen >= view->first + room)
		view->first = chosen - room + 1;
	if (view->first + room > top->shown_count)
		view->first = top->shown_count > room ? top->shown_count - room : 0;
	attron(A_REVERSE);
	draw_cells(LINES_ABOVE - 1, top, NULL);
	attroff(A_REVERSE);
	for (size_t i = 0; i < room && view->first + i < top->shown_count; i++) {
		bool marked = view->first + i == chosen;

		if (marked)
			attron(A_STANDOUT);
		draw_cells(LINES_ABOVE + (int)i, top, top->shown[view->first + i]);
		if (marked)
			attroff(A_STANDOUT);
	}
}

static const struct top_flow *chosen_flow(const struct view *view)
{
	for (size_t i = 0; i < view->top->sample.count; i++)
		if (view->top->sample.flows[i].id == view->chosen)
			return &view->top->sample.flows[i];
	return NULL;
}

static void draw(struct view *view)
{
	const struct top *top = view->top;
	char line[256];

	erase();
	top_summary(top, line, sizeof(line));
	mvaddnstr(0, 0, line, COLS);
	if (view->message[0])
		mvaddnstr(1, 0, view->message, COLS);
	else
		mvprintw(1, 0, "%zu shown, sort %s%s, every %g s%s%s%s%s", top->shown_count,
			 top_columns[top->sort].name, top->reversed ? " reversed" : "",
			 top->delay_s, view->paused ? ", paused" : "",
			 *top->filter || view->typing ? ", filter: " : "", top->filter,
			 view->typing ? "_" : "");
	if (view->detail)
		top_draw_detail(top, chosen_flow(view), LINES_ABOVE);
	else
		draw_rows(view);
	mvaddnstr(LINES - 1, 0,
		  view->typing ? "type a text, Enter takes it, Escape drops it"
			       : "q quit  arrows choose  Enter one flow  < > sort  r reverse  / "
				 "filter  + - every  space pause",
		  COLS);
	refresh();
}

/* ---- keys ---- */

static void type(struct view *view, int key)
{
	char *filter = view->top->filter;
	size_t length = strlen(filter);

	if (key == '\n' || key == KEY_ENTER) {
		view->typing = false;
	} else if (key == KEY_ESCAPE) {
		view->typing = false;
		filter[0] = '\0';
	} else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && length) {
		filter[length - 1] = '\0';
	} else if (key >= ' ' && key < 127 && length + 1 < TOP_FILTER_MAX) {
		filter[length] = (char)key;
		filter[length + 1] = '\0';
	}
	top_arrange(view->top);
}

static void choose(struct view *view, long by)
{
	long row = (long)chosen_row(view) + by, last = (long)view->top->shown_count - 1;

	if (last < 0)
		return;
	row = row < 0 ? 0 : row > last ? last : row;
	view->chosen = view->top->shown[row]->id;
}

static void sort_by(struct view *view, size_t by)
{
	view->top->sort = (view->top->sort + by) % top_column_count;
	top_arrange(view->top);
}

static void set_delay(struct view *view, double factor)
{
	double delay = view->top->delay_s * factor;

	if (delay >= 0.1 && delay <= 3600)
		view->top->delay_s = delay;
}

/* False: the end. */
static bool press(struct view *view, int key)
{
	if (view->typing) {
		type(view, key);
		return true;
	}
	switch (key) {
	case 'q':
	case KEY_ESCAPE:
		if (!view->detail)
			return false;
		view->detail = false;
		break;
	case KEY_UP:
	case 'k':
		choose(view, -1);
		break;
	case KEY_DOWN:
	case 'j':
		choose(view, 1);
		break;
	case KEY_PPAGE:
		choose(view, -row_room());
		break;
	case KEY_NPAGE:
		choose(view, row_room());
		break;
	case KEY_HOME:
		choose(view, -(long)view->top->shown_count);
		break;
	case KEY_END:
		choose(view, (long)view->top->shown_count);
		break;
	case '\n':
	case KEY_ENTER:
		choose(view, 0);
		view->detail = !view->detail;
		break;
	case '<':
	case KEY_LEFT:
		sort_by(view, top_column_count - 1);
		break;
	case '>':
	case KEY_RIGHT:
		sort_by(view, 1);
		break;
	case 'r':
		view->top->reversed = !view->top->reversed;
		top_arrange(view->top);
		break;
	case '/':
		view->typing = true;
		break;
	case '+':
		set_delay(view, 2);
		break;
	case '-':
		set_delay(view, 0.5);
		break;
	case ' ':
		view->paused = !view->paused;
		break;
	default: /* KEY_RESIZE: drawn anew */
		break;
	}
	return true;
}

static void run(struct view *view)
{
	bool more = true;

	while (more) {
		double left;
		int key;

		if (!view->paused && now_s() >= view->next_s)
			look(view);
		draw(view);
		left = view->next_s - now_s();
		timeout(view->paused ? -1 : left > 0 ? (int)(left * 1000) + 1 : 0);
		key = getch();
		/* All that was typed is taken before it is drawn. */
		for (timeout(0); more && key != ERR; key = getch())
			more = press(view, key);
	}
}

int top_screen(struct top *top)
{
	struct view view = { .top = top };
	SCREEN *screen;

	/* Before the screen is taken: what is wrong is said on the plain terminal. */
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return cli_fail("top: this is no terminal, use -b");
	if (!top_look(top, view.message))
		return cli_fail("%s", view.message);
	view.next_s = now_s() + top->delay_s;
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return cli_fail("top: this terminal cannot be drawn on, use -b or set TERM");
	set_term(screen);
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	run(&view);
	endwin();
	delscreen(screen);
	return 0;
}

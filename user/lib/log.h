/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One line per message on standard error, with the priority prefix that
 * systemd's journal understands ("<4>") when the journal listens.
 */
#ifndef SLUICE_LOG_H
#define SLUICE_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/* name goes before every message ("sluiced", "sluiced relay 0"; copied); messages up to level are written. */
void log_open(const char *name, enum log_level level);

/* True when messages of this level are written. */
bool log_enabled(enum log_level level);

/* printf format without newline; written with one write(2). */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* False when standard error is a pipe or a socket that takes no whole line now:
 * for messages that are better lost than waited for. */
bool log_has_room(void);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif

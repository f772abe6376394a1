/* SPDX-License-Identifier: GPL-2.0 */
/* The signals of a daemon, as events of its loop. */
#ifndef SLUICE_SIGNALS_H
#define SLUICE_SIGNALS_H

#include <systemd/sd-event.h>

/*
 * From now on SIGTERM and SIGINT call terminate and SIGHUP calls hangup, both with
 * context. They and SIGCHLD, which sd_event_add_child() needs, are blocked for this
 * thread; SIGPIPE is ignored. 0 or a negative errno.
 */
int signals_add(sd_event *event, sd_event_signal_handler_t terminate,
		sd_event_signal_handler_t hangup, void *context);

#endif

// SPDX-License-Identifier: GPL-2.0
/* See signals.h. */
#include "signals.h"

#include <signal.h>

int signals_add(sd_event *event, sd_event_signal_handler_t terminate,
		sd_event_signal_handler_t hangup, void *context)
{
	sigset_t signals;
	int result;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	result = sd_event_add_signal(event, NULL, SIGTERM, terminate, context);
	if (result >= 0)
		result = sd_event_add_signal(event, NULL, SIGINT, terminate, context);
	if (result >= 0)
		result = sd_event_add_signal(event, NULL, SIGHUP, hangup, context);
	return result < 0 ? result : 0;
}

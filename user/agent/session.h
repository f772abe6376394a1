/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The agent's side of one gateway: connects and connects again for ever,
 * registers what is wanted, renews it, withdraws what is wanted no more.
 */
#ifndef SLUICE_AGENT_SESSION_H
#define SLUICE_AGENT_SESSION_H

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "agent_config.h"

struct session;

/* What the owner of a session hears of it. */
struct session_handlers {
	void (*idle)(void *context); /* whenever it has nothing left to say */
	void (*path)(void *context); /* session_rtt_us() has changed */
	void *context;
};

/* Begins to connect. event is borrowed; gateway, key and handlers are copied. 0 or a
 * negative errno. */
int session_new(sd_event *event, const struct agent_gateway *gateway, const uint8_t key[KEY_SIZE],
		const struct session_handlers *handlers, struct session **session);

/* Closes the connection; what is registered lives on for its lease. */
void session_free(struct session *session);

/* Whether it is of this gateway, identity and key. */
bool session_is_of(const struct session *session, const struct agent_gateway *gateway,
		   const uint8_t key[KEY_SIZE]);

/* The round trip that this gateway has measured, which stands in for a rtt that a
 * service does not have, in microseconds; 0: none yet. */
uint32_t session_rtt_us(const struct session *session);

/* Makes what is registered that of this configuration; NULL: nothing. 0 or -ENOMEM. */
int session_want(struct session *session, const struct agent_config *config);

/* Nothing is registered any more that the gateway could be told to forget. */
bool session_is_idle(const struct session *session);

#endif

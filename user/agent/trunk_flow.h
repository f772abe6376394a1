/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A flow at the remote: a gateway's connection to the trunk port (its client
 * leg) and one to the application (its remote leg). From the gateway's header
 * over the agent's answer to the joining of both.
 */
#ifndef SLUICE_AGENT_TRUNK_FLOW_H
#define SLUICE_AGENT_TRUNK_FLOW_H

#include "proxy_protocol.h"
#include "relay_flow.h"
#include "trunk.h"
#include "trunk_relay.h"

struct listener;

struct trunk_relay {
	struct relay core;
	struct relay_counters counters;
	struct trunk_relay_setup setup;
	struct watch channel_watch;
	struct listener *listeners; /* owned; as many as setup.count */
	bool draining; /* no new connections; it ends with the last flow */
};

enum trunk_phase {
	TRUNK_HEADER, /* the gateway's header is due */
	TRUNK_CONNECTING, /* to the application */
	TRUNK_TURNED_DOWN, /* the gateway was told no, and is to close */
	TRUNK_JOINED,
};

struct trunk_flow {
	struct relay_flow core;
	enum trunk_phase phase;
	struct half_open_key tuple; /* of the client's connection, once the header is there */
	uint8_t header[PROXY_PROTOCOL_MAX];
	size_t header_length; /* bytes of it that are there */
};

extern const struct relay_front trunk_front;

/* A flow for a connection that a listener has accepted; fd belongs to the callee. */
void trunk_flow_begin(struct trunk_relay *relay, int fd);

#endif

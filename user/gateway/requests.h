/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The verbs of the control socket inside the daemon. Each ends its request
 * with one reply, at once or later.
 */
#ifndef SLUICE_REQUESTS_H
#define SLUICE_REQUESTS_H

#include "gateway.h"

/* Nouns. */
void request_show(struct gateway *gateway, struct control_request *request, const json_t *message);
void request_show_flows(struct gateway *gateway, struct control_request *request, uint64_t only_id);
void request_show_ended(struct gateway *gateway, struct control_request *request,
			const json_t *message);
void request_explain(struct gateway *gateway, struct control_request *request,
		     const json_t *message);

void request_trace(struct gateway *gateway, struct control_request *request, const json_t *message);

/* Verbs. */
void request_add(struct gateway *gateway, struct control_request *request, const json_t *message);
void request_del(struct gateway *gateway, struct control_request *request, const json_t *message);
void request_attach(struct gateway *gateway, struct control_request *request,
		    const json_t *message);
void request_detach(struct gateway *gateway, struct control_request *request,
		    const json_t *message);
void request_drain(struct gateway *gateway, struct control_request *request, const json_t *message);
void request_reload(struct gateway *gateway, struct control_request *request,
		    const json_t *message);

/* Hands an event on to the traces that it is for. */
void request_trace_event(struct gateway *gateway, const struct trace_event *event);

/* The gateway stops. */
void request_trace_end_all(struct gateway *gateway);

/* ---- shared by the above ---- */

/* Reads "address" and, when it is there, "port" (0 otherwise). False after an error reply. */
bool request_address(struct control_request *request, const json_t *message, uint8_t address[16],
		     uint16_t *port);

/* Ends the request with {"message": text}. */
void reply_message(struct control_request *request, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Whose an entry is; "" for a static one. */
const char *port_identity(const struct port_entry *port);

/* Whose entry a flow came by; "" when that was static, or is gone. */
const char *request_flow_identity(const struct gateway *gateway, const struct flow_record *flow);

/* In how many seconds an entry ends unless it is renewed; null when it does not. */
json_t *port_expires_json(const struct port_entry *port, uint64_t now_us);

const char *origin_name(enum origin origin);

#endif

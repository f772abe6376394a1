/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an agent says, from a line of bytes to fixed-size fields. No state and
 * no I/O: this is what the fuzzer is let loose on.
 */
#ifndef SLUICE_REGISTRAR_MESSAGE_H
#define SLUICE_REGISTRAR_MESSAGE_H

#include <stddef.h>

#include "registration.h"

enum agent_message_type { AGENT_HELLO, AGENT_REGISTER, AGENT_WITHDRAW, AGENT_RENEW };

/* Largest number that an agent may give a request: any number of JSON is exact up to it. */
#define AGENT_REQUEST_ID_MAX ((1LL << 53) - 1)

struct agent_message {
	enum agent_message_type type;
	unsigned refusal; /* enum refusal: well-formed, but not acceptable; text says why */
	char text[REFUSAL_TEXT_MAX]; /* printable ASCII */
	long long version; /* AGENT_HELLO */
	struct registrar_request request; /* all but identity, connection and path */
};

/*
 * Parses one line without its newline. 0, or -EPROTO with one line of printable
 * ASCII in message->text: it is not understood, and the connection is to end.
 */
int agent_message_parse(const char *line, size_t length, struct agent_message *message);

#endif

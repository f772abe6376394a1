/* SPDX-License-Identifier: GPL-2.0 */
/* Fuzzes the parser of the registrar: bytes of an agent to fixed-size fields. */
#include <stdlib.h>
#include <string.h>

#include "agent_protocol.h"
#include "params.h"
#include "registrar_message.h"
#include "targets.h"

static void claim(bool holds)
{
	if (!holds)
		abort();
}

static bool is_printable(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	if (length == size)
		return false;
	for (size_t i = 0; i < length; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return true;
}

void fuzz_line(const uint8_t *input, size_t size)
{
	struct agent_message message;
	/* The registrar hands over at most that, and nothing behind it is its own. */
	size_t length = size < PROTOCOL_LINE_MAX ? size : PROTOCOL_LINE_MAX - 1;
	char *line = malloc(length ?: 1);
	int result;

	claim(line != NULL);
	memcpy(line, input, length);
	result = agent_message_parse(line, length, &message);
	free(line);
	claim(is_printable(message.text, sizeof(message.text)));
	claim(is_printable(message.request.agent, sizeof(message.request.agent)));
	if (result || message.refusal) {
		claim(message.text[0] != '\0');
		claim(message.refusal < REFUSAL_COUNT);
		return;
	}
	claim(message.request.id <= AGENT_REQUEST_ID_MAX);
	if (message.type == AGENT_REGISTER) {
		claim(message.request.service_port != 0 && message.request.trunk_port != 0);
		claim(message.request.nexthop <= 1);
		claim(params_are_possible(&message.request.params));
	}
}

// SPDX-License-Identifier: GPL-2.0
/* From the control socket to the function of a verb; see requests.h. */
#include "requests.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "address.h"

static const struct {
	const char *verb;
	void (*run)(struct gateway *gateway, struct control_request *request,
		    const json_t *message);
} verbs[] = {
	{ "trace", request_trace },   { "show", request_show },	  { "explain", request_explain },
	{ "add", request_add },	      { "del", request_del },	  { "attach", request_attach },
	{ "detach", request_detach }, { "drain", request_drain }, { "reload", request_reload },
};

void gateway_request(struct control_request *request, const json_t *message, void *context)
{
	const char *verb = json_string_value(json_object_get(message, "verb"));

	for (size_t i = 0; verb && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].verb, verb) == 0) {
			verbs[i].run(context, request, message);
			return;
		}
	}
	control_reply_error(request, "unknown verb \"%.32s\"", verb ?: "");
}

bool request_address(struct control_request *request, const json_t *message, uint8_t address[16],
		     uint16_t *port)
{
	const char *text = json_string_value(json_object_get(message, "address"));
	const json_t *number = json_object_get(message, "port");
	json_int_t value = json_integer_value(number);

	if (!text || address_parse(text, address)) {
		control_reply_error(request, "\"%.64s\" is not an IPv4 or IPv6 address",
				    text ?: "");
		return false;
	}
	*port = 0;
	if (!number)
		return true;
	if (!json_is_integer(number) || value < 1 || value > UINT16_MAX) {
		control_reply_error(request, "port must be a number from 1 to 65535");
		return false;
	}
	*port = (uint16_t)value;
	return true;
}

void reply_message(struct control_request *request, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	control_reply_result(request, json_pack("{s:s}", "message", text));
}

const char *port_identity(const struct port_entry *port)
{
	return port->lease ? port->lease->identity->name : "";
}

json_t *port_expires_json(const struct port_entry *port, uint64_t now_us)
{
	if (!port->lease || port_is_draining(port))
		return json_null();
	if (port->lease->expires_us <= now_us)
		return json_integer(0);
	return json_integer((json_int_t)((port->lease->expires_us - now_us + 999999) / 1000000));
}

const char *origin_name(enum origin origin)
{
	static const char *const names[] = {
		[ORIGIN_CONFIG] = "config", [ORIGIN_CLI] = "cli", [ORIGIN_AGENT] = "agent"
	};

	return names[origin];
}

// SPDX-License-Identifier: GPL-2.0
/* See registrar_message.h. Everything in here comes from the network. */
#include "registrar_message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "agent_protocol.h"
#include "params.h"

/* Text that quotes an agent goes into logs and back over the line. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

static int misunderstood(struct agent_message *message, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int misunderstood(struct agent_message *message, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message->text, sizeof(message->text), format, arguments);
	va_end(arguments);
	make_printable(message->text);
	return -EPROTO;
}

/* Well-formed, but not to be had; the first reason stands. */
static void refuse(struct agent_message *message, enum refusal refusal, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void refuse(struct agent_message *message, enum refusal refusal, const char *format, ...)
{
	va_list arguments;

	if (message->refusal)
		return;
	message->refusal = refusal;
	va_start(arguments, format);
	vsnprintf(message->text, sizeof(message->text), format, arguments);
	va_end(arguments);
	make_printable(message->text);
}

static int read_hello(const json_t *object, struct agent_message *message)
{
	const char *agent = protocol_text(object, "agent");
	json_int_t version;
	const char *unknown;

	if (protocol_number(object, "version", 0, INT32_MAX, &version) < 0)
		return misunderstood(message, "hello without version, expected a number");
	message->version = version;
	snprintf(message->request.agent, sizeof(message->request.agent), "%s", agent ?: "");
	make_printable(message->request.agent);
	unknown = protocol_unknown_feature(json_object_get(object, "require"));
	if (unknown)
		refuse(message, REFUSED_feature,
		       "feature \"%.40s\" is required, but this version (%s) has it not", unknown,
		       SLUICE_VERSION);
	return 0;
}

static int read_id(const json_t *object, struct agent_message *message)
{
	json_int_t id;

	if (protocol_number(object, "id", 0, AGENT_REQUEST_ID_MAX, &id) < 0)
		return misunderstood(message, "request without id, expected a number from 0 to "
					      "2^53-1");
	message->request.id = (__u64)id;
	return 0;
}

/* address and service, of register and withdraw. */
static int read_service(const json_t *object, struct agent_message *message)
{
	const char *address = protocol_text(object, "address");
	json_int_t port;
	int result;

	if (!address)
		return misunderstood(message, "request without address, expected text");
	if (address_parse(address, message->request.address) < 0)
		refuse(message, REFUSED_address, "address \"%.64s\" is not an IPv4 or IPv6 address",
		       address);
	result = protocol_number(object, "service", 1, UINT16_MAX, &port);
	if (result == -ERANGE)
		refuse(message, REFUSED_port, "service is no port, expected 1 to 65535");
	else if (result < 0)
		return misunderstood(message, "request without service, expected a port number");
	else
		message->request.service_port = (__u16)port;
	return 0;
}

static int read_params(const json_t *object, struct agent_message *message)
{
	const json_t *params = json_object_get(object, "params");
	char error[PARAMS_ERROR_MAX];
	const char *key;
	json_t *value;

	params_default(&message->request.params);
	if (!params)
		return 0;
	if (!json_is_object(params))
		return misunderstood(message, "params is no object, expected {\"KEY\":\"TEXT\"}");
	json_object_foreach((json_t *)params, key, value) {
		const char *text = json_string_value(value);

		if (!text)
			return misunderstood(message, "params has a value that is no text");
		if (params_set(&message->request.params, key, text, error) < 0)
			refuse(message, REFUSED_params, "%s", error);
	}
	return 0;
}

static int read_register(const json_t *object, struct agent_message *message)
{
	const json_t *nexthop = json_object_get(object, "nexthop");
	const json_t *ends_trunk = json_object_get(object, "ends_trunk");
	json_int_t trunk = message->request.service_port;
	int result;

	if (nexthop && !json_is_boolean(nexthop))
		return misunderstood(message, "nexthop is neither true nor false");
	message->request.nexthop = json_is_true(nexthop);
	if (ends_trunk && !json_is_boolean(ends_trunk))
		return misunderstood(message, "ends_trunk is neither true nor false");
	message->request.ends_trunk = json_is_true(ends_trunk);
	result = protocol_number(object, "trunk", 1, UINT16_MAX, &trunk);
	if (result == -EINVAL)
		return misunderstood(message, "trunk is no port number");
	if (result == -ERANGE)
		refuse(message, REFUSED_port, "trunk is no port, expected 1 to 65535");
	message->request.trunk_port = (__u16)trunk;
	return read_params(object, message);
}

static int read_object(const json_t *object, struct agent_message *message)
{
	const char *type = protocol_text(object, "type");
	int result;

	if (!type)
		return misunderstood(message, "message without type");
	if (strcmp(type, "hello") == 0) {
		message->type = AGENT_HELLO;
		message->request.type = REGISTRAR_OPENED;
		return read_hello(object, message);
	}
	result = read_id(object, message);
	if (result)
		return result;
	if (strcmp(type, "renew") == 0) {
		message->type = AGENT_RENEW;
		message->request.type = REGISTRAR_RENEW;
		return 0;
	}
	if (strcmp(type, "withdraw") == 0) {
		message->type = AGENT_WITHDRAW;
		message->request.type = REGISTRAR_WITHDRAW;
		return read_service(object, message);
	}
	if (strcmp(type, "register") == 0) {
		message->type = AGENT_REGISTER;
		message->request.type = REGISTRAR_REGISTER;
		return read_service(object, message) ?: read_register(object, message);
	}
	return misunderstood(message, "unknown type \"%.40s\"", type);
}

int agent_message_parse(const char *line, size_t length, struct agent_message *message)
{
	char error[PROTOCOL_ERROR_MAX];
	json_t *object;
	int result;

	memset(message, 0, sizeof(*message));
	if (protocol_parse(line, length, &object, error) < 0)
		return misunderstood(message, "%s", error);
	result = read_object(object, message);
	json_decref(object);
	return result;
}

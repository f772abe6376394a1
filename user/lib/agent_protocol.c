// SPDX-License-Identifier: GPL-2.0
/* See agent_protocol.h. What is read here comes from the network. */
#include "agent_protocol.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *const protocol_features[] = { "nexthop", "params", FEATURE_TRUNK_END, NULL };

static bool is_known_feature(const char *name)
{
	for (size_t i = 0; protocol_features[i]; i++)
		if (strcmp(protocol_features[i], name) == 0)
			return true;
	return false;
}

const char *protocol_unknown_feature(const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));

		if (!name || !is_known_feature(name))
			return name ?: "?";
	}
	return NULL;
}

bool protocol_has_feature(const json_t *list, const char *feature)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));

		if (name && strcmp(name, feature) == 0)
			return true;
	}
	return false;
}

/* The parser recurses and allocates as it goes down: what is too deep is seen
 * before. Errors within strings are the parser's to find. */
static bool is_too_deep(const char *line, size_t length)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < length; i++) {
		if (in_string) {
			if (line[i] == '\\')
				i++;
			else if (line[i] == '"')
				in_string = false;
		} else if (line[i] == '"') {
			in_string = true;
		} else if (line[i] == '{' || line[i] == '[') {
			if (++depth > PROTOCOL_DEPTH_MAX)
				return true;
		} else if ((line[i] == '}' || line[i] == ']') && depth > 0) {
			depth--;
		}
	}
	return false;
}

int protocol_parse(const char *line, size_t length, json_t **message, char *error)
{
	json_error_t json_error;

	*message = NULL;
	if (is_too_deep(line, length)) {
		snprintf(error, PROTOCOL_ERROR_MAX, "nested deeper than %d levels",
			 PROTOCOL_DEPTH_MAX);
		return -EPROTO;
	}
	*message = json_loadb(line, length, JSON_REJECT_DUPLICATES, &json_error);
	if (json_is_object(*message))
		return 0;
	snprintf(error, PROTOCOL_ERROR_MAX, "not one JSON object on a line%s%.80s",
		 *message ? "" : ": ", *message ? "" : json_error.text);
	json_decref(*message);
	*message = NULL;
	return -EPROTO;
}

const char *protocol_text(const json_t *message, const char *key)
{
	return json_string_value(json_object_get(message, key));
}

int protocol_number(const json_t *message, const char *key, json_int_t min, json_int_t max,
		    json_int_t *number)
{
	const json_t *value = json_object_get(message, key);

	if (!value)
		return -ENOENT;
	if (!json_is_integer(value))
		return -EINVAL;
	if (json_integer_value(value) < min || json_integer_value(value) > max)
		return -ERANGE;
	*number = json_integer_value(value);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What agent and registrar agree on (docs/man/sluice-protocol.7.md): TLS 1.3 with a
 * pre-shared key, then one JSON object a line each way.
 */
#ifndef SLUICE_AGENT_PROTOCOL_H
#define SLUICE_AGENT_PROTOCOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define PROTOCOL_VERSION 1

/* Longest line, with its newline. */
#define PROTOCOL_LINE_MAX 4096

/* Deepest nesting of a message's arrays and objects. */
#define PROTOCOL_DEPTH_MAX 8

#define PROTOCOL_ERROR_MAX 160

/* Names that both sides may require or offer in their hello; NULL ends it. */
extern const char *const protocol_features[];

/* The agent takes the gateway's connections at the trunk port itself (trunk.h). */
#define FEATURE_TRUNK_END "trunk-end"

/* Whether a list of features, which may be NULL, has this one. */
bool protocol_has_feature(const json_t *list, const char *feature);

/* The first name in a list of features that is not known here, or NULL; list
 * may be NULL. */
const char *protocol_unknown_feature(const json_t *list);

/*
 * One line without its newline to *message, a new object. 0, or -EPROTO with
 * one line in error (PROTOCOL_ERROR_MAX bytes).
 */
int protocol_parse(const char *line, size_t length, json_t **message, char *error);

/* The member's text, or NULL when it is not there or no text. */
const char *protocol_text(const json_t *message, const char *key);

/* Reads a whole number from min to max. 0, -ENOENT when it is not there, -ERANGE
 * or -EINVAL when it is something else; *number is unchanged then. */
int protocol_number(const json_t *message, const char *key, json_int_t min, json_int_t max,
		    json_int_t *number);

#endif

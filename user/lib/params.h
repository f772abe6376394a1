/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The WAN leg's parameters [980-984] as text: the same keys in the config
 * file, in `sluice add ... key=value`, in `sluice show params` and in what an
 * agent sends.
 */
#ifndef SLUICE_PARAMS_H
#define SLUICE_PARAMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "tables.h"

/* Room for any error text of this module. */
#define PARAMS_ERROR_MAX 256

/* What a port gets that says nothing: kernel's defaults, honest, 2 h idle time-out, keepalive 60 s. */
void params_default(struct wan_params *params);

/* Sets one key ("window", "rate", "rtt", "skip-slow-start", "parallel", "qos", "peak",
 * "sustained", "minimum", "dscp", "flow-control", "connect", "source",
 * "proxy-protocol", "engine", "idle-timeout", "keepalive") from its text. 0, or -EINVAL with what is wrong
 * and what was expected in error (PARAMS_ERROR_MAX bytes); params is unchanged then. */
int params_set(struct wan_params *params, const char *key, const char *value, char *error);

/* Checks what one key alone cannot show: skip-slow-start needs rate and rtt,
 * linkrate and cbr need rate, vbr needs sustained <= peak, abr needs minimum <= peak.
 * 0, or -EINVAL with text in error. */
int params_check(const struct wan_params *params, char *error);

/* True when every choice is one and the text ends: with anything else the
 * functions that make text of parameters would read beyond them. */
bool params_are_speakable(const struct wan_params *params);

/* Whether every field has a value that params_set() could have given it: for
 * parameters that come as bytes from a process that is trusted less. */
bool params_are_possible(const struct wan_params *params);

/* The keys in the order they are shown; NULL ends it. */
extern const char *const params_keys[];

/* What a value of this key has to be, for people; NULL: no such key. */
const char *params_expected(const char *key);

/* The words that a value of this key can be, NULL ends them; NULL: not a matter of words. */
const char *const *params_words(const char *key);

/* Text of one key's value as params_set takes it; "" when unset. Returns text,
 * which holds UNIT_TEXT_MAX bytes. */
const char *params_get(const struct wan_params *params, const char *key, char *text);

/* A new object {key: text} of the keys that differ from the default. Caller
 * owns it; NULL when out of memory. */
json_t *params_to_json(const struct wan_params *params);

#endif

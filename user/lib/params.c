/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The WAN leg's parameters [980-984] to and from text. One table says for
 * every key where its value lives in struct wan_params, how it is written and
 * what is expected of it.
 */
#include "params.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/param.h>

#include "mptcp.h"
#include "nearest.h"
#include "tuning.h"
#include "units.h"

#define WINDOW_MIN (4ULL << 10)
#define WINDOW_MAX (1ULL << 30)
#define RTT_MAX_US 60000000ULL
#define IDLE_TIMEOUT_MAX_S (365ULL * 86400)
#define KEEPALIVE_MAX_S 32767ULL /* the kernel's MAX_TCP_KEEPIDLE */

enum parameter_kind {
	KIND_WINDOW, /* __u64 bytes */
	KIND_RATE, /* __u64 bit/s */
	KIND_RTT, /* __u32 microseconds */
	KIND_IDLE_TIMEOUT, /* __u32 seconds */
	KIND_KEEPALIVE, /* __u32 seconds */
	KIND_BOOLEAN, /* __u8 */
	KIND_PARALLEL, /* __u8 */
	KIND_DSCP, /* __u8 */
	KIND_CHOICE, /* __u8, an index into the names */
	KIND_FLOW_CONTROL, /* char[SLUICE_CC_NAME_MAX] */
};

struct parameter {
	size_t offset; /* of the field in struct wan_params */
	enum parameter_kind kind;
	const char *const *choices; /* of KIND_CHOICE, in the order of the enum; NULL ends it */
	const char *expected; /* what a value has to be, for error texts */
};

#define CHOICES(...)              \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define FIELD(name) offsetof(struct wan_params, name)
#define RATE_EXPECTED "a rate above 0 such as \"500mbit\""

const char *const params_keys[] = {
	"window",	"rate",	     "rtt",	  "skip-slow-start", "parallel",
	"qos",		"peak",	     "sustained", "minimum",	     "dscp",
	"flow-control", "connect",   "source",	  "proxy-protocol",  "engine",
	"idle-timeout", "keepalive", NULL,
};

#define PARAMETER_COUNT (sizeof(params_keys) / sizeof(*params_keys) - 1)

/* In the order of params_keys. */
static const struct parameter parameters[] = {
	{ FIELD(window), KIND_WINDOW, NULL, "0 or a size from 4KiB to 1GiB" },
	{ FIELD(rate), KIND_RATE, NULL, RATE_EXPECTED },
	{ FIELD(rtt_us), KIND_RTT, NULL, "a time above 0, up to 60s, such as \"80ms\"" },
	{ FIELD(skip_slow_start), KIND_BOOLEAN, NULL, "true or false" },
	{ FIELD(parallel), KIND_PARALLEL, NULL, "a number from 1 to 8" },
	{ FIELD(qos), KIND_CHOICE, CHOICES("ubr", "cbr", "vbr", "abr"), "ubr, cbr, vbr or abr" },
	{ FIELD(peak), KIND_RATE, NULL, RATE_EXPECTED },
	{ FIELD(sustained), KIND_RATE, NULL, RATE_EXPECTED },
	{ FIELD(minimum), KIND_RATE, NULL, RATE_EXPECTED },
	{ FIELD(dscp), KIND_DSCP, NULL,
	  "a number from 0 to 63 or a name such as \"ef\", \"af41\" or \"cs3\"" },
	{ FIELD(flow_control), KIND_FLOW_CONTROL, NULL,
	  "the name of a congestion control, 1 to 15 of a-z, 0-9 and _" },
	{ FIELD(connect), KIND_CHOICE, CHOICES("honest", "early"), "honest or early" },
	{ FIELD(source), KIND_CHOICE, CHOICES("gateway", "client"), "gateway or client" },
	{ FIELD(proxy_protocol), KIND_CHOICE, CHOICES("none", "v2"), "none or v2" },
	{ FIELD(engine), KIND_CHOICE, CHOICES("auto", "kernel", "splice"),
	  "auto, kernel or splice" },
	{ FIELD(idle_timeout_s), KIND_IDLE_TIMEOUT, NULL,
	  "whole seconds, 0 (never) to 365d, such as \"2h\"" },
	{ FIELD(keepalive_s), KIND_KEEPALIVE, NULL,
	  "whole seconds, 0 (none) to 32767s, such as \"60s\"" },
};

_Static_assert(sizeof(parameters) / sizeof(*parameters) == PARAMETER_COUNT,
	       "every key has a parameter");

/* RFC 2474, 2597, 3246, 5865 and 8622. */
static const struct {
	const char *name;
	uint8_t dscp;
} dscp_names[] = {
	{ "cs0", 0 },	{ "le", 1 },	{ "cs1", 8 },	{ "af11", 10 }, { "af12", 12 },
	{ "af13", 14 }, { "cs2", 16 },	{ "af21", 18 }, { "af22", 20 }, { "af23", 22 },
	{ "cs3", 24 },	{ "af31", 26 }, { "af32", 28 }, { "af33", 30 }, { "cs4", 32 },
	{ "af41", 34 }, { "af42", 36 }, { "af43", 38 }, { "cs5", 40 },	{ "va", 44 },
	{ "ef", 46 },	{ "cs6", 48 },	{ "cs7", 56 },	{ "be", 0 },	{ "df", 0 },
};

#define DSCP_NAME_COUNT (sizeof(dscp_names) / sizeof(*dscp_names))

void params_default(struct wan_params *params)
{
	memset(params, 0, sizeof(*params));
	params->idle_timeout_s = 7200;
	params->keepalive_s = 60;
	params->parallel = 1;
	params->dscp = DSCP_UNSET;
}

static const struct parameter *parameter_find(const char *key)
{
	for (size_t i = 0; i < PARAMETER_COUNT; i++) {
		if (strcmp(params_keys[i], key) == 0)
			return &parameters[i];
	}
	return NULL;
}

const char *params_expected(const char *key)
{
	const struct parameter *parameter = parameter_find(key);

	return parameter ? parameter->expected : NULL;
}

const char *const *params_words(const char *key)
{
	static const char *const booleans[] = { "true", "false", NULL };
	const struct parameter *parameter = parameter_find(key);

	if (!parameter)
		return NULL;
	return parameter->kind == KIND_BOOLEAN ? booleans : parameter->choices;
}

static int window_parse(const char *text, uint64_t *window)
{
	if (size_parse(text, window) < 0)
		return -EINVAL;
	return *window == 0 || (*window >= WINDOW_MIN && *window <= WINDOW_MAX) ? 0 : -EINVAL;
}

static int positive_rate_parse(const char *text, uint64_t *rate)
{
	return rate_parse(text, rate) == 0 && *rate > 0 ? 0 : -EINVAL;
}

static int rtt_parse(const char *text, uint64_t *rtt_us)
{
	return duration_parse(text, rtt_us) == 0 && *rtt_us > 0 && *rtt_us <= RTT_MAX_US ? 0
											 : -EINVAL;
}

static int seconds_parse(const char *text, uint64_t max, uint64_t *seconds)
{
	uint64_t microseconds;

	if (duration_parse(text, &microseconds) < 0 || microseconds % 1000000 != 0)
		return -EINVAL;
	*seconds = microseconds / 1000000;
	return *seconds <= max ? 0 : -EINVAL;
}

/* The spellings that libconfuse takes for its own booleans. */
static int boolean_parse(const char *text, uint64_t *value)
{
	static const char *const spellings[] = { "false", "true", "no", "yes", "off", "on" };

	for (size_t i = 0; i < sizeof(spellings) / sizeof(*spellings); i++) {
		if (strcasecmp(text, spellings[i]) == 0) {
			*value = i % 2;
			return 0;
		}
	}
	return -EINVAL;
}

static int dscp_parse(const char *text, uint64_t *dscp)
{
	for (size_t i = 0; i < DSCP_NAME_COUNT; i++) {
		if (strcasecmp(text, dscp_names[i].name) == 0) {
			*dscp = dscp_names[i].dscp;
			return 0;
		}
	}
	return number_parse(text, 0, 63, dscp);
}

static int choice_parse(const char *text, const char *const *choices, uint64_t *choice)
{
	for (*choice = 0; choices[*choice]; (*choice)++) {
		if (strcmp(text, choices[*choice]) == 0)
			return 0;
	}
	return -EINVAL;
}

static int value_parse(const struct parameter *parameter, const char *text, uint64_t *value)
{
	switch (parameter->kind) {
	case KIND_WINDOW:
		return window_parse(text, value);
	case KIND_RATE:
		return positive_rate_parse(text, value);
	case KIND_RTT:
		return rtt_parse(text, value);
	case KIND_IDLE_TIMEOUT:
		return seconds_parse(text, IDLE_TIMEOUT_MAX_S, value);
	case KIND_KEEPALIVE:
		return seconds_parse(text, KEEPALIVE_MAX_S, value);
	case KIND_BOOLEAN:
		return boolean_parse(text, value);
	case KIND_PARALLEL:
		return number_parse(text, 1, MPTCP_CONNECTIONS_MAX, value);
	case KIND_DSCP:
		return dscp_parse(text, value);
	case KIND_CHOICE:
		return choice_parse(text, parameter->choices, value);
	case KIND_FLOW_CONTROL:
		break;
	}
	return -EINVAL;
}

/* Stores a value in the field's own width; value_parse() has seen that it fits. */
static void value_store(struct wan_params *params, const struct parameter *parameter,
			uint64_t value)
{
	void *field = (char *)params + parameter->offset;
	__u32 word = (__u32)value;
	__u8 byte = (__u8)value;

	switch (parameter->kind) {
	case KIND_WINDOW:
	case KIND_RATE:
		memcpy(field, &value, sizeof(value));
		break;
	case KIND_RTT:
	case KIND_IDLE_TIMEOUT:
	case KIND_KEEPALIVE:
		memcpy(field, &word, sizeof(word));
		break;
	default:
		memcpy(field, &byte, sizeof(byte));
		break;
	}
}

static uint64_t value_load(const struct wan_params *params, const struct parameter *parameter)
{
	const void *field = (const char *)params + parameter->offset;
	uint64_t value;
	__u32 word;

	switch (parameter->kind) {
	case KIND_WINDOW:
	case KIND_RATE:
		memcpy(&value, field, sizeof(value));
		return value;
	case KIND_RTT:
	case KIND_IDLE_TIMEOUT:
	case KIND_KEEPALIVE:
		memcpy(&word, field, sizeof(word));
		return word;
	default:
		return *(const __u8 *)field;
	}
}

static int flow_control_set(struct wan_params *params, const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length >= sizeof(params->flow_control) ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != length)
		return -EINVAL;
	/* NUL-padded, so that equal parameters are equal bytes. */
	memset(params->flow_control, 0, sizeof(params->flow_control));
	memcpy(params->flow_control, name, length);
	return 0;
}

static int unknown_key(const char *key, char *error)
{
	const char *nearest = nearest_name(key, params_keys, PARAMETER_COUNT);
	size_t length;

	if (nearest) {
		snprintf(error, PARAMS_ERROR_MAX,
			 "unknown parameter \"%.40s\", did you mean \"%s\"?", key, nearest);
		return -EINVAL;
	}
	snprintf(error, PARAMS_ERROR_MAX, "unknown parameter \"%.40s\", expected one of", key);
	for (size_t i = 0; i < PARAMETER_COUNT; i++) {
		length = strlen(error);
		snprintf(error + length, PARAMS_ERROR_MAX - length, "%s %s", i > 0 ? "," : "",
			 params_keys[i]);
	}
	return -EINVAL;
}

int params_set(struct wan_params *params, const char *key, const char *value, char *error)
{
	const struct parameter *parameter = parameter_find(key);
	uint64_t number;
	int result;

	if (!parameter)
		return unknown_key(key, error);
	if (parameter->kind == KIND_FLOW_CONTROL) {
		result = flow_control_set(params, value);
	} else {
		result = value_parse(parameter, value, &number);
		if (result == 0)
			value_store(params, parameter, number);
	}
	if (result == 0)
		return 0;
	snprintf(error, PARAMS_ERROR_MAX, "%s is \"%.40s\", expected %s", key, value,
		 parameter->expected);
	return -EINVAL;
}

static int qos_check(const struct wan_params *params, char *error)
{
	const char *lower_name = params->qos == QOS_VBR ? "sustained" : "minimum";
	uint64_t lower = params->qos == QOS_VBR ? params->sustained : params->minimum;
	const char *class = params->qos == QOS_VBR ? "vbr" : "abr";

	if (params->qos == QOS_UBR)
		return 0;
	if (params->qos == QOS_CBR) {
		if (params->rate > 0)
			return 0;
		snprintf(error, PARAMS_ERROR_MAX, "qos = cbr without rate, expected rate as well");
		return -EINVAL;
	}
	if (lower == 0 || params->peak == 0) {
		snprintf(error, PARAMS_ERROR_MAX,
			 "qos = %s without %s, expected %s and peak as well", class,
			 lower == 0 ? lower_name : "peak", lower_name);
		return -EINVAL;
	}
	if (lower > params->peak) {
		snprintf(error, PARAMS_ERROR_MAX, "%s is above peak, expected at most the peak",
			 lower_name);
		return -EINVAL;
	}
	return 0;
}

int params_check(const struct wan_params *params, char *error)
{
	if (params->skip_slow_start && (params->rate == 0 || params->rtt_us == 0)) {
		snprintf(error, PARAMS_ERROR_MAX,
			 "skip-slow-start without %s, expected rate and rtt as well",
			 params->rate == 0 ? "rate" : "rtt");
		return -EINVAL;
	}
	if (strcmp(params->flow_control, LINKRATE_NAME) == 0 && params->rate == 0 &&
	    params->qos != QOS_VBR && params->qos != QOS_ABR) {
		snprintf(error, PARAMS_ERROR_MAX,
			 "flow-control = linkrate without rate, expected rate as well");
		return -EINVAL;
	}
	if (params->parallel > 1 && params->source == SOURCE_CLIENT) {
		snprintf(error, PARAMS_ERROR_MAX,
			 "parallel with source = client, expected one of them: proxy-protocol = v2 "
			 "also tells who the client is");
		return -EINVAL;
	}
	return qos_check(params, error);
}

static void dscp_format(uint64_t dscp, char *text)
{
	for (size_t i = 0; i < DSCP_NAME_COUNT; i++) {
		if (dscp_names[i].dscp == dscp) {
			strcpy(text, dscp_names[i].name);
			return;
		}
	}
	if (dscp != DSCP_UNSET)
		snprintf(text, UNIT_TEXT_MAX, "%u", (unsigned)dscp);
}

static void value_format(const struct parameter *parameter, uint64_t value, char *text)
{
	switch (parameter->kind) {
	case KIND_WINDOW:
		size_format(value, text);
		break;
	case KIND_RATE:
		if (value > 0)
			rate_format(value, text);
		break;
	case KIND_RTT:
		if (value > 0)
			duration_format(value, text);
		break;
	case KIND_IDLE_TIMEOUT:
	case KIND_KEEPALIVE:
		duration_format(value * 1000000, text);
		break;
	case KIND_BOOLEAN:
		strcpy(text, value ? "true" : "false");
		break;
	case KIND_PARALLEL:
		snprintf(text, UNIT_TEXT_MAX, "%u", (unsigned)value);
		break;
	case KIND_DSCP:
		dscp_format(value, text);
		break;
	case KIND_CHOICE:
		strcpy(text, parameter->choices[value]);
		break;
	case KIND_FLOW_CONTROL:
		break;
	}
}

const char *params_get(const struct wan_params *params, const char *key, char *text)
{
	const struct parameter *parameter = parameter_find(key);

	text[0] = '\0';
	if (!parameter)
		return text;
	if (parameter->kind == KIND_FLOW_CONTROL)
		strcpy(text, params->flow_control);
	else
		value_format(parameter, value_load(params, parameter), text);
	return text;
}

json_t *params_to_json(const struct wan_params *params)
{
	char text[UNIT_TEXT_MAX], default_text[UNIT_TEXT_MAX];
	json_t *object = json_object();
	struct wan_params defaults;

	if (!object)
		return NULL;
	params_default(&defaults);
	for (size_t i = 0; i < PARAMETER_COUNT; i++) {
		params_get(params, params_keys[i], text);
		if (strcmp(text, params_get(&defaults, params_keys[i], default_text)) == 0)
			continue;
		if (json_object_set_new(object, params_keys[i], json_string(text)) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

// SPDX-License-Identifier: GPL-2.0
/* The conversation with a gateway; see session.h. What is registered is in entries.c. */
#include "session.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "agent_protocol.h"
#include "backoff.h"
#include "entries.h"
#include "log.h"
#include "params.h"
#include "secret.h"
#include "tls_lines.h"
#include "tls_psk.h"

/* From connect to the gateway's greeting. */
#define GREETING_US 10000000ULL

/* Requests that are under way at once. */
#define REQUESTS_MAX 16

/* As the gateway: a round trip that differs by less than one part in so many is the same. */
#define RTT_DIFFERS 4

/* A round trip that no path has. */
#define RTT_MAX_US 60000000

#define WHY_MAX 192

enum phase {
	PHASE_WAITING, /* to connect again */
	PHASE_CONNECTING,
	PHASE_HANDSHAKE,
	PHASE_GREETING,
	PHASE_SERVING,
};

struct session {
	sd_event *event;
	struct agent_gateway gateway; /* name is owned */
	uint8_t *key; /* secret_new(); owned */
	struct session_handlers handlers;
	SSL_CTX *tls;
	enum phase phase;
	int fd;
	sd_event_source *io;
	sd_event_source *timer; /* back-off, greeting, or renewal */
	struct tls_lines lines;
	struct backoff backoff;
	uint64_t renew_us; /* between renewals */
	uint64_t renew_id; /* of the renewal that is under way; 0: none */
	uint64_t last_id;
	uint32_t rtt_us; /* that the gateway has measured; 0: unknown */
	bool knows_trunk_end; /* the gateway has this feature */
	unsigned under_way; /* requests not answered yet, the renewal not counted */
	unsigned renewals; /* since refused registrations were tried last */
	char why[WHY_MAX]; /* what the log was told last of why there is no connection */
	struct entries entries;
};

static void run(struct session *session);

/* ---- the timer ---- */

static int on_timer(sd_event_source *source, uint64_t us, void *context);

static void set_timer(struct session *session, uint64_t us)
{
	int result;

	session->timer = sd_event_source_disable_unref(session->timer);
	result = sd_event_add_time_relative(session->event, &session->timer, CLOCK_MONOTONIC, us, 0,
					    on_timer, session);
	if (result < 0)
		log_error("%s: timer: %s", session->gateway.name, strerror(-result));
}

static uint64_t random_number(void)
{
	uint64_t number = 0;

	if (getrandom(&number, sizeof(number), 0) < 0)
		number = (uint64_t)getpid() * 2654435761U;
	return number;
}

/* ---- the end of a connection ---- */

static void disconnect(struct session *session, const char *why)
{
	session->io = sd_event_source_disable_unref(session->io);
	tls_lines_free(&session->lines);
	if (session->fd >= 0)
		close(session->fd);
	session->fd = -1;
	session->phase = PHASE_WAITING;
	session->under_way = 0;
	session->renew_id = 0;
	entries_reset(&session->entries);
	/* Once for each reason: it may be down for days. */
	if (strcmp(why, session->why) != 0)
		log_warning("gateway %s: %s; trying again", session->gateway.name, why);
	snprintf(session->why, sizeof(session->why), "%s", why);
	set_timer(session, backoff_next_us(&session->backoff, random_number()));
	session->handlers.idle(session->handlers.context);
}

static void disconnect_errno(struct session *session, const char *what, int result)
{
	char why[WHY_MAX];

	snprintf(why, sizeof(why), "%s: %s", what, strerror(-result));
	disconnect(session, why);
}

/* ---- requests ---- */

static json_t *service_json(const char *type, const struct entry *entry)
{
	char address[INET6_ADDRSTRLEN];

	return json_pack("{s:s,s:I,s:s,s:i}", "type", type, "id", (json_int_t)entry->id, "address",
			 address_format(entry->address, address), "service",
			 (int)entry->service_port);
}

static json_t *register_json(const struct entry *entry)
{
	json_t *message = service_json("register", entry);

	json_object_set_new(message, "trunk", json_integer(entry->trunk_port));
	json_object_set_new(message, "nexthop", json_boolean(entry->nexthop));
	if (entry->ends_trunk)
		json_object_set_new(message, "ends_trunk", json_true());
	json_object_set_new(message, "params", params_to_json(&entry->params));
	return message;
}

/* Puts as many requests on their way as may be. */
static int send_requests(struct session *session)
{
	while (session->under_way < REQUESTS_MAX) {
		struct entry *entry = entries_next(&session->entries);
		int result;

		if (!entry)
			return 0;
		entry->id = ++session->last_id;
		if (entry->ends_trunk && entry->state != ENTRY_WITHDRAW &&
		    !session->knows_trunk_end) {
			/* It would send the client's bytes where its own are expected. */
			entries_asked(&session->entries, entry);
			entries_answered(&session->entries, entry->id,
					 "feature: this gateway is too old for trunks that the "
					 "agent ends (parallel, end-trunk)",
					 session->gateway.name);
			continue;
		}
		result = tls_lines_put(&session->lines, entry->state == ENTRY_WITHDRAW
								? service_json("withdraw", entry)
								: register_json(entry));
		if (result == -ENOBUFS) /* when the gateway has read some */
			return 0;
		if (result)
			return result;
		entries_asked(&session->entries, entry);
		session->under_way++;
	}
	return 0;
}

static void renew(struct session *session)
{
	if (session->renew_id) {
		disconnect(session, "it does not answer any more");
		return;
	}
	/* What was refused may be granted by now: once a lease is often enough. */
	if (++session->renewals % 3 == 0)
		entries_try_refused(&session->entries);
	session->renew_id = ++session->last_id;
	if (tls_lines_put(&session->lines, json_pack("{s:s,s:I}", "type", "renew", "id",
						     (json_int_t)session->renew_id)) < 0)
		session->renew_id = 0;
	set_timer(session, session->renew_us);
	run(session);
}

/* ---- what the gateway says ---- */

static void greeted(struct session *session, const json_t *message)
{
	json_int_t version = 0, lease_s = 0;
	const char *gateway = protocol_text(message, "gateway");

	if (protocol_number(message, "version", PROTOCOL_VERSION, PROTOCOL_VERSION, &version) < 0 ||
	    protocol_number(message, "lease_s", 1, 86400, &lease_s) < 0) {
		disconnect(session, "it speaks another version of the protocol");
		return;
	}
	session->phase = PHASE_SERVING;
	session->renew_us = (uint64_t)lease_s * 1000000ULL / 3;
	session->why[0] = '\0';
	session->knows_trunk_end = protocol_has_feature(json_object_get(message, "features"),
							FEATURE_TRUNK_END);
	log_notice("gateway %s: connected as \"%s\" (version %.32s, lease %lld s)",
		   session->gateway.name, session->gateway.identity, gateway ?: "?",
		   (long long)lease_s);
	set_timer(session, session->renew_us);
}

/* What the entry runs with at the gateway is what it is to run with here. */
static void learn_rtt(struct session *session, const json_t *message)
{
	uint32_t known = session->rtt_us, difference;
	json_int_t rtt_us = 0;

	protocol_number(message, "rtt_us", 1, RTT_MAX_US, &rtt_us);
	difference = rtt_us > known ? (uint32_t)rtt_us - known : known - (uint32_t)rtt_us;
	if (rtt_us == 0 || difference <= known / RTT_DIFFERS)
		return;
	session->rtt_us = (uint32_t)rtt_us;
	session->handlers.path(session->handlers.context);
}

static void answered(struct session *session, const json_t *message, const char *refusal)
{
	const char *rule = protocol_text(message, "rule");
	const struct entry *entry;
	char text[ENTRY_REFUSAL_MAX];
	json_int_t id = 0;

	protocol_number(message, "id", 1, INT64_MAX, &id);
	backoff_reset(&session->backoff); /* it is of use */
	if (id && (uint64_t)id == session->renew_id) {
		session->renew_id = 0;
		if (refusal)
			entries_ask_again(&session->entries);
		return;
	}
	if (session->under_way > 0)
		session->under_way--;
	if (refusal)
		snprintf(text, sizeof(text), "%.16s: %.180s", rule ?: "?", refusal);
	entry = entries_answered(&session->entries, (uint64_t)id, refusal ? text : NULL,
				 session->gateway.name);
	if (entry && entry->params.rtt_us == 0)
		learn_rtt(session, message);
}

static void handle_line(struct session *session, const char *line, size_t length)
{
	char error[PROTOCOL_ERROR_MAX], why[WHY_MAX];
	const char *type, *text;
	json_t *message;

	if (protocol_parse(line, length, &message, error) < 0) {
		snprintf(why, sizeof(why), "it said what is no message: %.100s", error);
		disconnect(session, why);
		return;
	}
	type = protocol_text(message, "type") ?: "";
	text = protocol_text(message, "error") ?: "no reason given";
	if (strcmp(type, "error") == 0) {
		snprintf(why, sizeof(why), "it ended the connection: %.150s", text);
		disconnect(session, why);
	} else if (strcmp(type, "hello") == 0 && session->phase == PHASE_GREETING) {
		greeted(session, message);
	} else if (strcmp(type, "ok") == 0 && session->phase == PHASE_SERVING) {
		answered(session, message, NULL);
	} else if (strcmp(type, "refused") == 0 && session->phase == PHASE_SERVING) {
		answered(session, message, text);
	} /* what a later version says besides is not for us */
	json_decref(message);
}

/* ---- the connection ---- */

static void shake_hands(struct session *session)
{
	int result = tls_lines_handshake(&session->lines);
	json_t *hello;

	if (result == -EAGAIN)
		return;
	if (result) {
		disconnect(session, result == -EPROTO
					    ? "TLS failed: is it the right identity and key?"
					    : "it closed the connection");
		return;
	}
	session->phase = PHASE_GREETING;
	hello = json_pack("{s:s,s:i,s:s,s:[],s:[]}", "type", "hello", "version", PROTOCOL_VERSION,
			  "agent", SLUICE_VERSION, "require", "offer");
	for (size_t i = 0; protocol_features[i]; i++)
		json_array_append_new(json_object_get(hello, "offer"),
				      json_string(protocol_features[i]));
	tls_lines_put(&session->lines, hello);
}

static bool is_talking(const struct session *session)
{
	return session->phase == PHASE_GREETING || session->phase == PHASE_SERVING;
}

static void talk(struct session *session)
{
	const char *line;
	size_t length;
	int result = 0;

	while (!result && is_talking(session)) {
		if (tls_lines_next(&session->lines, &line, &length))
			handle_line(session, line, length);
		else
			result = tls_lines_read(&session->lines);
	}
	if (!is_talking(session))
		return;
	if (result == -EAGAIN)
		result = session->phase == PHASE_SERVING ? send_requests(session) : 0;
	if (!result)
		result = tls_lines_flush(&session->lines);
	if (result && result != -EAGAIN)
		disconnect_errno(session, "connection lost", result);
	else if (session->phase == PHASE_SERVING)
		session->handlers.idle(session->handlers.context);
}

static void connected(struct session *session)
{
	socklen_t length = sizeof(int);
	int error = 0;

	if (getsockopt(session->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		error = errno;
	if (error)
		disconnect_errno(session, "cannot connect", -error);
	else
		session->phase = PHASE_HANDSHAKE;
}

static void run(struct session *session)
{
	if (session->phase == PHASE_HANDSHAKE)
		shake_hands(session);
	if (is_talking(session))
		talk(session);
	if (session->io)
		sd_event_source_set_io_events(session->io, tls_lines_events(&session->lines));
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct session *session = context;

	(void)source;
	(void)fd;
	(void)events;
	if (session->phase == PHASE_CONNECTING)
		connected(session);
	run(session);
	return 0;
}

/* OpenSSL's question for our identity and key. */
static int use_session(SSL *ssl, const EVP_MD *md, const unsigned char **identity, size_t *length,
		       SSL_SESSION **key)
{
	const struct session *session = SSL_get_app_data(ssl);

	(void)md; /* the cipher suites leave but one hash */
	*identity = (const unsigned char *)session->gateway.identity;
	*length = strlen(session->gateway.identity);
	*key = tls_psk_session(ssl, session->key);
	return *key != NULL;
}

static int open_tls(struct session *session)
{
	SSL *ssl = SSL_new(session->tls);

	if (!ssl || !SSL_set_fd(ssl, session->fd)) {
		SSL_free(ssl);
		return -ENOMEM;
	}
	SSL_set_connect_state(ssl);
	SSL_set_app_data(ssl, session);
	tls_lines_init(&session->lines, ssl);
	return 0;
}

static int start_connecting(struct session *session)
{
	struct sockaddr_storage address;
	socklen_t length = endpoint_to_sockaddr(session->gateway.address, session->gateway.port,
						&address);
	int on = 1, result, unanswered_ms = GREETING_US / 1000;

	session->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (session->fd < 0)
		return -errno;
	setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(session->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms,
		   sizeof(unanswered_ms));
	result = open_tls(session);
	if (result)
		return result;
	if (connect(session->fd, (struct sockaddr *)&address, length) < 0 && errno != EINPROGRESS)
		return -errno;
	session->phase = PHASE_CONNECTING;
	result = sd_event_add_io(session->event, &session->io, session->fd, EPOLLIN | EPOLLOUT,
				 on_ready, session);
	set_timer(session, GREETING_US);
	return result < 0 ? result : 0;
}

static int on_timer(sd_event_source *source, uint64_t us, void *context)
{
	struct session *session = context;
	int result;

	(void)source;
	(void)us;
	if (session->phase == PHASE_SERVING) {
		renew(session);
	} else if (session->phase == PHASE_WAITING) {
		result = start_connecting(session);
		if (result)
			disconnect_errno(session, "cannot connect", result);
	} else {
		disconnect(session, "it does not answer");
	}
	return 0;
}

/* ---- from outside ---- */

int session_new(sd_event *event, const struct agent_gateway *gateway, const uint8_t key[KEY_SIZE],
		const struct session_handlers *handlers, struct session **session)
{
	struct session *new = calloc(1, sizeof(*new));

	*session = NULL;
	if (!new)
		return -ENOMEM;
	new->event = event;
	new->gateway = *gateway;
	new->gateway.name = strdup(gateway->name);
	new->key = secret_new(KEY_SIZE);
	new->handlers = *handlers;
	new->fd = -1;
	backoff_reset(&new->backoff);
	new->tls = tls_psk_context(TLS_client_method());
	if (!new->gateway.name || !new->key || !new->tls) {
		session_free(new);
		return -ENOMEM;
	}
	memcpy(new->key, key, KEY_SIZE);
	SSL_CTX_set_psk_use_session_callback(new->tls, use_session);
	/* A gateway without the key must not get by with a certificate: none is trusted. */
	SSL_CTX_set_verify(new->tls, SSL_VERIFY_PEER, NULL);
	set_timer(new, 0);
	*session = new;
	return 0;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	sd_event_source_disable_unref(session->io);
	sd_event_source_disable_unref(session->timer);
	tls_lines_free(&session->lines);
	if (session->fd >= 0)
		close(session->fd);
	SSL_CTX_free(session->tls);
	entries_free(&session->entries);
	secret_free(session->key, KEY_SIZE);
	free(session->gateway.name);
	free(session);
}

bool session_is_of(const struct session *session, const struct agent_gateway *gateway,
		   const uint8_t key[KEY_SIZE])
{
	return strcmp(session->gateway.name, gateway->name) == 0 &&
	       memcmp(session->gateway.address, gateway->address, 16) == 0 &&
	       session->gateway.port == gateway->port &&
	       strcmp(session->gateway.identity, gateway->identity) == 0 &&
	       memcmp(session->key, key, KEY_SIZE) == 0;
}

uint32_t session_rtt_us(const struct session *session)
{
	return session->rtt_us;
}

int session_want(struct session *session, const struct agent_config *config)
{
	int result = entries_want(&session->entries, config);

	if (session->phase != PHASE_SERVING)
		entries_reset(&session->entries);
	run(session);
	return result;
}

bool session_is_idle(const struct session *session)
{
	return session->phase != PHASE_SERVING || entries_are_settled(&session->entries);
}

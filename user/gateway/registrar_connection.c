// SPDX-License-Identifier: GPL-2.0
/*
 * An agent's connection in the registrar: TLS, the greeting, then one request
 * after the other. The next is read only when main has answered the last.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent_protocol.h"
#include "registrar.h"
#include "registrar_message.h"
#include "tls_lines.h"
#include "tls_psk.h"

/* From accept to the end of the greeting. */
#define GREETING_US 5000000ULL

/* How long a connection that we end waits for its peer to read why. */
#define PARTING_US 1000000ULL

/* Messages a second that an agent may send, and how many at once. */
#define MESSAGES_PER_SECOND 200U
#define MESSAGES_AT_ONCE 400U

/* Which key OpenSSL was given. */
#define IDENTITY_UNKNOWN UINT32_MAX
#define IDENTITY_NOT_ASKED (UINT32_MAX - 1)

enum phase {
	PHASE_HANDSHAKE, /* of TLS */
	PHASE_GREETING, /* the agent's hello is due */
	PHASE_SERVING,
	PHASE_PARTING, /* we have said why it ends, and wait for the peer to close */
	PHASE_ENDED, /* freed when the turn is over */
};

struct registrar_connection {
	struct list link;
	struct registrar *registrar;
	enum phase phase;
	int fd;
	uint8_t source[16];
	uint16_t port; /* of the source */
	uint32_t identity; /* index; IDENTITY_* before it is proven */
	uint64_t number;
	uint64_t deadline_us; /* greeting, silence or parting */
	bool waiting; /* main has a request of it */
	bool paused; /* sent too fast, until there are tokens again */
	uint32_t events; /* in the epoll set */
	uint64_t tokens_us; /* when tokens were added last */
	unsigned tokens; /* messages that it may send now */
	struct tls_lines lines;
};

/* ---- the end ---- */

static void end(struct registrar_connection *connection)
{
	struct registrar *registrar = connection->registrar;
	struct registrar_request closed = { .type = REGISTRAR_CLOSED,
					    .identity = connection->identity,
					    .connection = connection->number };

	if (connection->phase == PHASE_ENDED)
		return;
	/* Should main not hear of it, the lease ends by itself. */
	if (connection->phase == PHASE_SERVING)
		registrar_tell_main(registrar, &closed);
	connection->phase = PHASE_ENDED;
	tls_lines_free(&connection->lines);
	close(connection->fd);
	list_remove(&connection->link);
	list_append(&registrar->ended, &connection->link);
}

/* Says why and ends: closing at once could take back what was said. */
static void part(struct registrar_connection *connection, json_t *message)
{
	struct registrar *registrar = connection->registrar;
	struct registrar_request closed = { .type = REGISTRAR_CLOSED,
					    .identity = connection->identity,
					    .connection = connection->number };

	if (connection->phase == PHASE_SERVING)
		registrar_tell_main(registrar, &closed);
	connection->phase = PHASE_PARTING;
	connection->deadline_us = registrar->now_us + PARTING_US;
	if (tls_lines_put(&connection->lines, message) < 0 ||
	    tls_lines_flush(&connection->lines) < 0) {
		end(connection);
		return;
	}
	SSL_shutdown(connection->lines.ssl);
	shutdown(connection->fd, SHUT_WR);
}

static void part_with_error(struct registrar_connection *connection, __u64 *counter,
			    const char *error)
{
	struct registrar *registrar = connection->registrar;

	registrar_count(counter);
	registrar_log(registrar, connection->source, connection->port, "closed: %s", error);
	part(connection, json_pack("{s:s,s:s}", "type", "error", "error", error));
}

void registrar_connections_free_ended(struct registrar *registrar)
{
	while (!list_empty(&registrar->ended)) {
		struct registrar_connection *connection =
			list_entry(registrar->ended.next, struct registrar_connection, link);

		list_remove(&connection->link);
		free(connection);
		registrar->count--;
	}
}

/* ---- the beginning ---- */

/* Hosts of one IPv6 network are one source: they have addresses without end. */
static bool same_source(const uint8_t one[16], const uint8_t other[16])
{
	static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(one, other, memcmp(one, v4_mapped, sizeof(v4_mapped)) ? 8 : 16) == 0;
}

static bool is_one_too_many(const struct registrar *registrar, const uint8_t source[16])
{
	const struct list *list = &registrar->connections;
	unsigned same = 0;

	if (registrar->count >= REGISTRAR_CONNECTIONS_MAX)
		return true;
	for (const struct list *link = list->next; link != list; link = link->next)
		same += same_source(list_entry(link, struct registrar_connection, link)->source,
				    source);
	return same >= REGISTRAR_CONNECTIONS_PER_SOURCE;
}

static struct registrar_connection *open_connection(struct registrar *registrar, int fd)
{
	struct registrar_connection *connection = calloc(1, sizeof(*connection));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
	SSL *ssl = connection ? SSL_new(registrar->context) : NULL;

	if (!ssl || !SSL_set_fd(ssl, fd) ||
	    epoll_ctl(registrar->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		SSL_free(ssl);
		free(connection);
		return NULL;
	}
	SSL_set_accept_state(ssl);
	SSL_set_app_data(ssl, connection);
	tls_lines_init(&connection->lines, ssl);
	connection->events = EPOLLIN;
	return connection;
}

void registrar_connection_new(struct registrar *registrar, int fd, const uint8_t source[16],
			      uint16_t port)
{
	struct registrar_connection *connection;

	registrar_count(&registrar->setup.counters->connections);
	if (is_one_too_many(registrar, source)) {
		registrar_count(&registrar->setup.counters->too_many_connections);
		registrar_log(registrar, source, port, "closed: too many connections");
		close(fd);
		return;
	}
	connection = open_connection(registrar, fd);
	if (!connection) {
		registrar_count(&registrar->setup.counters->no_room);
		registrar_log(registrar, source, port, "closed: out of memory");
		close(fd);
		return;
	}
	connection->registrar = registrar;
	connection->phase = PHASE_HANDSHAKE;
	connection->fd = fd;
	memcpy(connection->source, source, sizeof(connection->source));
	connection->port = port;
	connection->identity = IDENTITY_NOT_ASKED;
	connection->number = ++registrar->last_connection;
	connection->deadline_us = registrar->now_us + GREETING_US;
	connection->tokens_us = registrar->now_us;
	connection->tokens = MESSAGES_AT_ONCE;
	list_append(&registrar->connections, &connection->link);
	registrar->count++;
}

/* An identity that there is not has a key that nobody knows: the peer cannot tell
 * that from a wrong key. */
int registrar_find_key(SSL *ssl, const unsigned char *identity, size_t length,
		       SSL_SESSION **session)
{
	struct registrar_connection *connection = SSL_get_app_data(ssl);
	const struct registrar *registrar = connection->registrar;
	const struct registrar_setup *setup = &registrar->setup;

	connection->identity = IDENTITY_UNKNOWN;
	for (size_t i = 0; i < setup->identity_count; i++)
		if (length == strlen(setup->names[i]) &&
		    memcmp(identity, setup->names[i], length) == 0)
			connection->identity = (uint32_t)i;
	*session = tls_psk_session(ssl, connection->identity == IDENTITY_UNKNOWN
						? registrar->stranger_key
						: setup->keys[connection->identity]);
	return *session != NULL;
}

static void handshake_failed(struct registrar_connection *connection, int result)
{
	struct registrar *registrar = connection->registrar;
	struct registrar_counters *counters = registrar->setup.counters;
	unsigned long error = result == -EPROTO ? ERR_peek_error() : 0;
	const char *why = ERR_reason_error_string(error);

	if (ERR_GET_REASON(error) != SSL_R_BINDER_DOES_NOT_VERIFY) {
		registrar_count(&counters->tls_failed);
		registrar_log(registrar, connection->source, connection->port,
			      "no TLS 1.3 with a pre-shared key: %.80s", why ?: "it was closed");
	} else if (connection->identity == IDENTITY_UNKNOWN) {
		registrar_count(&counters->unknown_identity);
		registrar_log(registrar, connection->source, connection->port,
			      "there is no policy of the name that it gave");
	} else {
		registrar_count(&counters->wrong_key);
		registrar_log(registrar, connection->source, connection->port,
			      "identity \"%.63s\" with another key than its policy's",
			      registrar->setup.names[connection->identity]);
	}
	end(connection);
}

/* ---- messages ---- */

/* True when the agent may send one more now. */
static bool take_token(struct registrar_connection *connection)
{
	uint64_t now_us = connection->registrar->now_us;
	uint64_t fresh = (now_us - connection->tokens_us) * MESSAGES_PER_SECOND / 1000000;

	if (fresh > 0) {
		connection->tokens_us = now_us;
		fresh += connection->tokens;
		connection->tokens = fresh > MESSAGES_AT_ONCE ? MESSAGES_AT_ONCE : (unsigned)fresh;
	}
	if (connection->tokens == 0)
		return false;
	connection->tokens--;
	return true;
}

static json_t *features_json(void)
{
	json_t *list = json_array();

	for (size_t i = 0; protocol_features[i]; i++)
		json_array_append_new(list, json_string(protocol_features[i]));
	return list;
}

static void read_path(const struct registrar_connection *connection, struct path_report *path)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof(info);

	if (getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return;
	path->rtt_us = info.tcpi_rtt;
	path->min_rtt_us = info.tcpi_min_rtt == UINT32_MAX ? 0 : info.tcpi_min_rtt;
	path->retrans = info.tcpi_total_retrans;
	path->delivery_bps = info.tcpi_delivery_rate * 8;
}

static void to_main(struct registrar_connection *connection, struct agent_message *message)
{
	struct registrar *registrar = connection->registrar;

	message->request.identity = connection->identity;
	message->request.connection = connection->number;
	read_path(connection, &message->request.path);
	if (registrar_tell_main(registrar, &message->request) < 0)
		part_with_error(connection, &registrar->setup.counters->no_room,
				"the gateway is overloaded: try again later");
	else
		connection->waiting = message->type != AGENT_HELLO;
}

static void put(struct registrar_connection *connection, json_t *message)
{
	struct registrar *registrar = connection->registrar;
	struct tls_lines *lines = &connection->lines;

	/* Many requests that came at once may be refused before the turn's end: it reads,
	 * though it has not been told anything yet. Should sending fail, the next will. */
	if (lines->out_end - lines->out_start > TLS_LINES_OUT_MAX / 2)
		tls_lines_flush(lines);
	if (tls_lines_put(lines, message) == 0)
		return;
	registrar_count(&registrar->setup.counters->no_room);
	registrar_log(registrar, connection->source, connection->port,
		      "closed: it does not read what it is told");
	end(connection);
}

static void greet(struct registrar_connection *connection, struct agent_message *message)
{
	struct registrar *registrar = connection->registrar;
	struct registrar_counters *counters = registrar->setup.counters;

	if (message->version != PROTOCOL_VERSION) {
		snprintf(message->text, sizeof(message->text),
			 "version %lld of the protocol is not spoken here, expected %d",
			 message->version, PROTOCOL_VERSION);
		part_with_error(connection, &counters->bad_version, message->text);
		return;
	}
	if (message->refusal) {
		registrar_count(&counters->refused_feature);
		registrar_log(registrar, connection->source, connection->port, "closed: %s",
			      message->text);
		part(connection, json_pack("{s:s,s:s,s:s}", "type", "error", "rule",
					   refusal_name(message->refusal), "error", message->text));
		return;
	}
	put(connection,
	    json_pack("{s:s,s:i,s:s,s:I,s:o}", "type", "hello", "version", PROTOCOL_VERSION,
		      "gateway", SLUICE_VERSION, "lease_s", (json_int_t)registrar->setup.lease_s,
		      "features", features_json()));
	if (connection->phase == PHASE_ENDED)
		return;
	connection->phase = PHASE_SERVING;
	to_main(connection, message);
}

static json_t *ok_json(const struct registrar_answer *answer)
{
	json_t *message = json_pack("{s:s,s:I}", "type", "ok", "id", (json_int_t)answer->id);

	if (answer->rtt_us)
		json_object_set_new(message, "rtt_us", json_integer(answer->rtt_us));
	return message;
}

/* Tells the agent, and the operator of the gateway, who may not know of the agent's log. */
static void put_refusal(struct registrar_connection *connection, uint64_t id, unsigned refusal,
			const char *text)
{
	const struct registrar *registrar = connection->registrar;

	registrar_log(connection->registrar, connection->source, connection->port,
		      "identity \"%.63s\" is refused: %s: %s",
		      registrar->setup.names[connection->identity], refusal_name(refusal), text);
	put(connection, json_pack("{s:s,s:I,s:s,s:s}", "type", "refused", "id", (json_int_t)id,
				  "rule", refusal_name(refusal), "error", text));
}

static void count_refusal(struct registrar_counters *counters, unsigned refusal)
{
#define COUNT_REFUSAL(name, description) \
	if (refusal == REFUSED_##name)   \
		registrar_count(&counters->refused_##name);
	REGISTRATION_REFUSALS(COUNT_REFUSAL)
#undef COUNT_REFUSAL
}

static void handle_line(struct registrar_connection *connection, const char *line, size_t length)
{
	struct registrar *registrar = connection->registrar;
	struct registrar_counters *counters = registrar->setup.counters;
	struct agent_message message;

	if (agent_message_parse(line, length, &message) < 0) {
		part_with_error(connection, &counters->bad_message, message.text);
		return;
	}
	if ((message.type == AGENT_HELLO) != (connection->phase == PHASE_GREETING)) {
		part_with_error(connection, &counters->bad_message,
				"expected hello first, and once");
		return;
	}
	connection->deadline_us = registrar->now_us + registrar->setup.lease_s * 1000000ULL;
	if (message.type == AGENT_HELLO) {
		greet(connection, &message);
	} else if (message.refusal) {
		count_refusal(counters, message.refusal);
		put_refusal(connection, message.request.id, message.refusal, message.text);
	} else {
		to_main(connection, &message);
	}
}

static bool is_talking(const struct registrar_connection *connection)
{
	return connection->phase == PHASE_GREETING || connection->phase == PHASE_SERVING;
}

/* Handles the lines that are here; false when the next one has to wait. */
static bool handle_lines(struct registrar_connection *connection)
{
	struct registrar *registrar = connection->registrar;
	size_t length;
	const char *line;

	while (is_talking(connection)) {
		if (connection->waiting)
			return false;
		if (!memchr(connection->lines.in + connection->lines.in_start, '\n',
			    connection->lines.in_end - connection->lines.in_start))
			return true;
		if (!take_token(connection)) {
			if (!connection->paused)
				registrar_count(&registrar->setup.counters->rate_limited);
			connection->paused = true;
			return false;
		}
		connection->paused = false;
		if (tls_lines_next(&connection->lines, &line, &length))
			handle_line(connection, line, length);
	}
	return false;
}

/* ---- events ---- */

static void watch(struct registrar_connection *connection)
{
	struct epoll_event event = { .data.ptr = connection };

	if (connection->phase == PHASE_ENDED)
		return;
	event.events = tls_lines_events(&connection->lines);
	/* Nothing is read before there is room: the peer is slowed down by TCP. */
	if (is_talking(connection) && (connection->waiting || connection->paused))
		event.events &= ~(uint32_t)EPOLLIN;
	if (event.events == connection->events)
		return;
	connection->events = event.events;
	epoll_ctl(connection->registrar->epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

static void read_failed(struct registrar_connection *connection, int result)
{
	struct registrar_counters *counters = connection->registrar->setup.counters;

	if (result == -EMSGSIZE) {
		part_with_error(connection, &counters->line_too_long,
				"line too long, expected at most 4096 bytes");
	} else if (result == -EPROTO) {
		registrar_count(&counters->tls_failed);
		registrar_log(connection->registrar, connection->source, connection->port,
			      "closed: broken TLS record");
		end(connection);
	} else if (connection->lines.in_end > connection->lines.in_start) {
		registrar_count(&counters->bad_message);
		registrar_log(connection->registrar, connection->source, connection->port,
			      "closed: it went in the middle of a message");
		end(connection);
	} else {
		end(connection);
	}
}

static void shake_hands(struct registrar_connection *connection)
{
	int result = tls_lines_handshake(&connection->lines);

	if (result == -EAGAIN)
		return;
	if (result == 0 && connection->identity < connection->registrar->setup.identity_count)
		connection->phase = PHASE_GREETING;
	else
		handshake_failed(connection, result);
}

/* Throws away what still comes until the peer closes. */
static void drain(struct registrar_connection *connection)
{
	char scrap[PROTOCOL_LINE_MAX];
	ssize_t length = recv(connection->fd, scrap, sizeof(scrap), MSG_DONTWAIT);

	if (length == 0 || (length < 0 && errno != EAGAIN))
		end(connection);
}

static void talk(struct registrar_connection *connection)
{
	int result = 0;

	while (!result && handle_lines(connection))
		result = tls_lines_read(&connection->lines);
	if (result && result != -EAGAIN)
		read_failed(connection, result);
	if (!is_talking(connection))
		return;
	result = tls_lines_flush(&connection->lines);
	if (result && result != -EAGAIN)
		end(connection);
}

void registrar_connection_run(struct registrar_connection *connection)
{
	if (connection->phase == PHASE_HANDSHAKE)
		shake_hands(connection);
	else if (connection->phase == PHASE_PARTING)
		drain(connection);
	if (is_talking(connection))
		talk(connection);
	watch(connection);
}

void registrar_connection_answer(struct registrar *registrar, const struct registrar_answer *answer)
{
	struct list *list = &registrar->connections;

	for (struct list *link = list->next; link != list; link = link->next) {
		struct registrar_connection *connection =
			list_entry(link, struct registrar_connection, link);

		if (connection->number != answer->connection || !connection->waiting)
			continue;
		connection->waiting = false;
		if (answer->refusal)
			put_refusal(connection, answer->id, answer->refusal, answer->text);
		else
			put(connection, ok_json(answer));
		registrar_connection_run(connection);
		return;
	}
}

static void expire(struct registrar_connection *connection)
{
	struct registrar_counters *counters = connection->registrar->setup.counters;

	switch (connection->phase) {
	case PHASE_HANDSHAKE:
	case PHASE_GREETING:
		registrar_count(&counters->handshake_timeout);
		registrar_log(connection->registrar, connection->source, connection->port,
			      "closed: no greeting within 5 s");
		end(connection);
		break;
	case PHASE_SERVING:
		part_with_error(connection, &counters->idle_timeout,
				"nothing was heard for the lease");
		break;
	default:
		end(connection);
		break;
	}
}

void registrar_connections_sweep(struct registrar *registrar)
{
	struct list *link = registrar->connections.next;

	while (link != &registrar->connections) {
		struct registrar_connection *connection =
			list_entry(link, struct registrar_connection, link);

		link = link->next;
		if (registrar->now_us >= connection->deadline_us)
			expire(connection);
		else if (connection->paused)
			registrar_connection_run(connection);
	}
}

/* SPDX-License-Identifier: GPL-2.0 */
/* Where the configuration has the daemon listen and write: without one of these it does not start. */
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "doctor.h"
#include "socket_owner.h"

static const char not_started[] = "sluiced does not start";

/* Listens there for a moment, as user/gateway/service.c does. 0 or a negative errno. */
static int try_to_listen(const uint8_t address[16], uint16_t port)
{
	struct sockaddr_storage name;
	socklen_t length = endpoint_to_sockaddr(address, port, &name);
	int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1, off = 0, result = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (name.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&name, length) < 0 || listen(fd, 1) < 0)
		result = -errno;
	close(fd);
	return result;
}

static void report_taken(struct doctor *doctor, const char *section, const char *listen_at,
			 const uint8_t address[16], uint16_t port)
{
	char name[64] = "";
	pid_t pid = socket_owner(address, port, name, sizeof(name));

	report_finding(doctor, SEVERITY_PROBLEM, "port-taken",
		       json_sprintf("%s, where %s is to listen, is taken by %s (pid %d)", listen_at,
				    section, pid ? name : "another program", (int)pid),
		       json_string(not_started), /* 1 holds it for a socket unit */
		       pid > 1 ? json_sprintf("kill %d", (int)pid) : NULL,
		       json_sprintf("stop it, or give %s another port in %s", section,
				    doctor->config_path));
}

static void check_listener(struct doctor *doctor, const char *section, const uint8_t address[16],
			   uint16_t port)
{
	char listen_at[ENDPOINT_TEXT_MAX];
	int result;

	if (port == 0)
		return;
	endpoint_format(address, port, listen_at);
	result = try_to_listen(address, port);
	if (result == -EADDRINUSE)
		report_taken(doctor, section, listen_at, address, port);
	else if (result)
		report_finding(doctor, SEVERITY_PROBLEM, "cannot-listen",
			       json_sprintf("%s cannot listen on %s: %s", section, listen_at,
					    strerror(-result)),
			       json_string(not_started), NULL,
			       json_sprintf("name an address of this host, or 0.0.0.0, in %s: "
					    "`ip address` lists them",
					    doctor->config_path));
	else
		report_good(doctor, listen_at);
}

static void check_flow_log(struct doctor *doctor)
{
	const char *path = doctor->config->flow_log;
	char *copy = path ? strdup(path) : NULL;
	const char *directory = copy ? dirname(copy) : NULL;
	struct stat found;

	if (directory && (stat(directory, &found) < 0 || !S_ISDIR(found.st_mode)))
		report_finding(doctor, SEVERITY_PROBLEM, "no-directory",
			       json_sprintf("there is no directory %s for the flow log", directory),
			       json_string(not_started), json_sprintf("mkdir -p %s", directory),
			       json_string("the package's unit writes in /var/log/sluice alone; "
					   "elsewhere:"));
	free(copy);
}

void check_listeners(struct doctor *doctor)
{
	const struct gateway_config *config = doctor->config;

	if (!config)
		return;
	if (doctor->lock < 0) {
		report_good(doctor, "the gateway's own");
	} else {
		check_listener(doctor, "registrar", config->registrar.address,
			       config->registrar.port);
		check_listener(doctor, "metrics", config->metrics.address, config->metrics.port);
	}
	if (doctor->lock >= 0 && !config->registrar.port && !config->metrics.port)
		report_good(doctor, "none wanted");
	check_flow_log(doctor);
}

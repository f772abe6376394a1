/* SPDX-License-Identifier: GPL-2.0 */
/* The configuration, and whether this host is one that can serve what it names. */
#include <arpa/inet.h>
#include <pwd.h>
#include <string.h>

#include "address.h"
#include "doctor.h"
#include "netlink.h"

/* Remotes whose route is looked at: enough to see what is wrong. */
#define PROXIES_LOOKED_AT 256

/* A remote's address that is this host's own, or that no route leads to. */
static void check_proxy(struct doctor *doctor, const struct proxy_config *proxy)
{
	static const uint8_t any_ipv4[16] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t any_ipv6[16];
	char address[INET6_ADDRSTRLEN];
	bool is_local = false;
	int result = netlink_route_of(address_is_ipv4(proxy->address) ? any_ipv4 : any_ipv6,
				      proxy->address, 0, 0, &is_local);

	address_format(proxy->address, address);
	if (result)
		report_finding(doctor, SEVERITY_PROBLEM, "no-route",
			       json_sprintf("no route to the remote %s: %s", address,
					    strerror(-result)),
			       json_string("its connections are forwarded, and go nowhere"), NULL,
			       json_sprintf("add a route: ip route add %s via ROUTER", address));
	else if (is_local)
		report_finding(doctor, SEVERITY_PROBLEM, "own-address",
			       json_sprintf("the remote %s is an address of this host", address),
			       json_string("what listens here takes its connections, the relay's "
					   "own included"),
			       NULL,
			       json_sprintf("name the remote's own address in %s, or remove this "
					    "one: ip address show to %s",
					    doctor->config_path, address));
}

static void check_user(struct doctor *doctor)
{
	const char *user = doctor->config->user;

	if (user && *user && !getpwnam(user))
		report_finding(doctor, SEVERITY_PROBLEM, "no-user",
			       json_sprintf("there is no user %s", user),
			       json_string(
				       "relays are to run as that user: sluiced does not start"),
			       json_sprintf("useradd --system --no-create-home %s", user), NULL);
}

/* Each line of what reading the file came to. */
static void report_mistakes(struct doctor *doctor)
{
	char *left = doctor->config_errors, *line;

	while ((line = strsep(&left, "\n")))
		if (*line)
			report_finding(doctor, SEVERITY_PROBLEM, "bad-config", json_string(line),
				       json_string("sluiced does not start with this file"), NULL,
				       json_string("put it right, or name another file with -c"));
}

void check_config(struct doctor *doctor)
{
	const struct gateway_config *config = doctor->config;

	if (!config) {
		report_mistakes(doctor);
		return;
	}
	report_good(doctor, doctor->config_path);
	for (size_t i = 0; i < config->proxy_count && i < PROXIES_LOOKED_AT; i++)
		check_proxy(doctor, &config->proxies[i]);
	check_user(doctor);
}

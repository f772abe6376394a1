/* SPDX-License-Identifier: GPL-2.0 */
/* Whether this host is a router for those it serves: what is not taken has to be forwarded. */
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "address.h"
#include "doctor.h"
#include "netlink.h"

#define REVERSE_PATH_STRICT 1

static bool serves_ipv6(const struct doctor *doctor)
{
	const struct gateway_config *config = doctor->config;
	uint8_t address[16];

	for (size_t i = 0; i < config->proxy_count; i++)
		if (!address_is_ipv4(config->proxies[i].address))
			return true;
	return doctor_policy(doctor, false, address) != NULL;
}

static void check_forwards(struct doctor *doctor, const char *dev, int version)
{
	const char *all = version == 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding";
	char name[32];

	if (doctor_sysctl("net/ipv%d/conf/%s/forwarding", version, dev) != 0) {
		snprintf(name, sizeof(name), "%s IPv%d", dev, version);
		report_good(doctor, name);
		return;
	}
	report_finding(doctor, SEVERITY_PROBLEM, "no-forwarding",
		       json_sprintf("what arrives by %s is not forwarded (IPv%d)", dev, version),
		       json_string("connections that are not taken go nowhere, and all do whenever "
				   "sluiced is not there"),
		       /* with slashes a name may have a dot, as those of VLANs do */
		       json_sprintf("sysctl -w %s=1\nsysctl -w net/ipv%d/conf/%s/forwarding=1", all,
				    version, dev),
		       json_string("at once, and in a file of /etc/sysctl.d for the next boot:"));
}

/* A strict check drops what comes from where no route goes back by the same
 * interface. Without any route by it that is everything. src_valid_mark alone
 * does no harm: our first policy rule is for it. */
static void check_reverse_path(struct doctor *doctor, const char *dev)
{
	long strict = MAX(doctor_sysctl("net/ipv4/conf/all/rp_filter"),
			  doctor_sysctl("net/ipv4/conf/%s/rp_filter", dev));

	if (strict != REVERSE_PATH_STRICT ||
	    netlink_routes(AF_INET, 0, 0, (int)if_nametoindex(dev)) != 0)
		return;
	report_finding(doctor, SEVERITY_PROBLEM, "rp-filter",
		       json_sprintf("rp_filter is strict on %s, and no route leads out by it", dev),
		       json_string("the kernel drops every packet of its clients before anyone "
				   "sees it"),
		       json_sprintf("sysctl -w net/ipv4/conf/%s/rp_filter=2", dev),
		       json_string(
			       "add the route to its clients, or be content with a loose check:"));
}

/* A marked packet of a client whose reverse path is checked with its mark. */
static void check_valid_mark(struct doctor *doctor, const char *dev)
{
	if (MAX(doctor_sysctl("net/ipv4/conf/all/src_valid_mark"),
		doctor_sysctl("net/ipv4/conf/%s/src_valid_mark", dev)) == 1 &&
	    MAX(doctor_sysctl("net/ipv4/conf/all/rp_filter"),
		doctor_sysctl("net/ipv4/conf/%s/rp_filter", dev)) == REVERSE_PATH_STRICT)
		report_finding(doctor, SEVERITY_NOTE, "src-valid-mark",
			       json_sprintf("src_valid_mark and a strict rp_filter are set for %s",
					    dev),
			       json_string("reverse paths are looked up with our mark: sluiced has "
					   "a policy rule for that, do not remove it"),
			       NULL, NULL);
}

void check_forwarding(struct doctor *doctor)
{
	const struct gateway_config *config = doctor->config;

	for (size_t i = 0; config && i < config->lan_count; i++) {
		const char *dev = config->lan[i];

		if (!if_nametoindex(dev))
			continue;
		check_forwards(doctor, dev, 4);
		if (serves_ipv6(doctor))
			check_forwards(doctor, dev, 6);
		check_reverse_path(doctor, dev);
		check_valid_mark(doctor, dev);
	}
}

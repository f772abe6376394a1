/* SPDX-License-Identifier: GPL-2.0 */
/* The interfaces of the configuration: there, up, and without what spoils packets. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_vlan.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "doctor.h"
#include "firewall.h"
#include "route.h"

static int query(unsigned long what, struct ifreq *request)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result = fd < 0 ? -errno : 0;

	if (!result && ioctl(fd, what, request) < 0)
		result = -errno;
	if (fd >= 0)
		close(fd);
	return result;
}

static struct ifreq request_for(const char *dev)
{
	struct ifreq request = { 0 };

	memcpy(request.ifr_name, dev, strnlen(dev, IFNAMSIZ - 1));
	return request;
}

static bool has_flag(const char *dev, uint32_t flag)
{
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
	struct ifreq request = request_for(dev);

	request.ifr_data = (char *)&flags;
	return query(SIOCETHTOOL, &request) == 0 && flags.data & flag;
}

/* Large receive offload merges segments so that they cannot be told apart again:
 * forwarding and interception both need what was sent. (GRO can, and is fine.) */
static bool has_lro(const char *dev)
{
	return has_flag(dev, ETH_FLAG_LRO);
}

static bool is_vlan_of(const char *vlan, const char *dev)
{
	struct vlan_ioctl_args arguments = { .cmd = GET_VLAN_REALDEV_NAME_CMD };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool result;

	if (fd < 0)
		return false;
	memcpy(arguments.device1, vlan, strnlen(vlan, sizeof(arguments.device1) - 1));
	/* An error for what is no VLAN, and from kernels without them. */
	result = ioctl(fd, SIOCGIFVLAN, &arguments) == 0 && strcmp(arguments.u.device2, dev) == 0;
	close(fd);
	return result;
}

/* Tags that the card takes off are beside the packet, where XDP does not look: who
 * sent a SYN with one could not be answered with one. tc knows them. */
static void check_vlans(struct doctor *doctor, const char *dev)
{
	struct if_nameindex *all;
	const char *vlan = NULL;

	if (doctor->config->intercept != WAY_XDP || !has_flag(dev, ETH_FLAG_RXVLAN))
		return;
	all = if_nameindex();
	for (size_t i = 0; all && all[i].if_index && !vlan; i++)
		if (is_vlan_of(all[i].if_name, dev))
			vlan = all[i].if_name;
	if (vlan)
		report_finding(
			doctor, SEVERITY_PROBLEM, "vlan-offload",
			json_sprintf("%s, which has the VLAN %s, takes VLAN tags off packets "
				     "before XDP sees them",
				     dev, vlan),
			json_string("held SYNs of its VLANs are answered without tag, so these "
				    "clients do not connect"),
			json_sprintf("ethtool -K %s rxvlan off", dev),
			json_string("or name the VLAN's device in lan, or use intercept = tc"));
	if_freenameindex(all);
}

static void check_one(struct doctor *doctor, const char *dev, const char *why)
{
	struct ifreq request = request_for(dev);

	if (query(SIOCGIFFLAGS, &request)) {
		report_finding(doctor, SEVERITY_PROBLEM, "no-interface",
			       json_sprintf("there is no interface %s", dev),
			       json_string("sluiced does not start without the interfaces that "
					   "its configuration names"),
			       NULL,
			       json_sprintf("make it, or name another in %s: `ip link` lists them",
					    doctor->config_path));
		return;
	}
	if (!(request.ifr_flags & IFF_UP))
		report_finding(doctor, SEVERITY_PROBLEM, "interface-down",
			       json_sprintf("%s is down", dev), json_string(why),
			       json_sprintf("ip link set dev %s up", dev), NULL);
	else if (!(request.ifr_flags & IFF_RUNNING))
		report_finding(doctor, SEVERITY_WARNING, "no-carrier",
			       json_sprintf("%s has no carrier", dev), json_string(why), NULL,
			       json_string("look at the cable and at the other end"));
	else
		report_good(doctor, dev);
	if (has_lro(dev))
		report_finding(doctor, SEVERITY_PROBLEM, "lro",
			       json_sprintf("%s has large receive offload", dev),
			       json_string("it merges segments so that they cannot be forwarded; "
					   "GRO does the same without that fault"),
			       json_sprintf("ethtool -K %s lro off", dev), NULL);
}

static int mtu_of(const char *dev)
{
	struct ifreq request = request_for(dev);

	return query(SIOCGIFMTU, &request) ? 0 : request.ifr_mtu;
}

static bool leads_to(const uint8_t address[16], char dev[IF_NAMESIZE])
{
	int ifindex;

	return route_interface(address, &ifindex) == 0 && if_indextoname((unsigned)ifindex, dev);
}

/* The interface that leads to the first remote, or remote to be, that has a route. */
static bool find_wan(const struct doctor *doctor, char dev[IF_NAMESIZE])
{
	const struct gateway_config *config = doctor->config;
	uint8_t address[16];

	if (config->wan_count) {
		snprintf(dev, IF_NAMESIZE, "%s", config->wan[0]);
		return true;
	}
	for (size_t i = 0; i < config->proxy_count; i++)
		if (leads_to(config->proxies[i].address, dev))
			return true;
	for (int ipv4 = 1; ipv4 >= 0; ipv4--)
		if (doctor_policy(doctor, ipv4, address) && leads_to(address, dev))
			return true;
	return false;
}

/* Flows that are taken have a path MTU on each side. What is forwarded has one
 * in all, which the client has to learn. */
static void check_mtu(struct doctor *doctor, const char *lan)
{
	char wan[IF_NAMESIZE];
	int lan_mtu = mtu_of(lan), wan_mtu;

	if (!find_wan(doctor, wan))
		return;
	wan_mtu = mtu_of(wan);
	if (wan_mtu == 0 || lan_mtu <= wan_mtu || firewall_clamps_mss())
		return;
	report_finding(doctor, SEVERITY_WARNING, "mtu",
		       json_sprintf("the MTU of %s, %d, is larger than that of %s, %d", lan,
				    lan_mtu, wan, wan_mtu),
		       json_string("flows that are taken do not mind; connections that are "
				   "forwarded stall where ICMP is filtered"),
		       json_string("nft add table inet sluice_mss\n"
				   "nft add chain inet sluice_mss forward '{ type filter hook "
				   "forward priority mangle; }'\n"
				   "nft add rule inet sluice_mss forward tcp flags syn tcp option "
				   "maxseg size set rt mtu"),
		       NULL);
}

void check_interfaces(struct doctor *doctor)
{
	const struct gateway_config *config = doctor->config;

	for (size_t i = 0; config && i < config->lan_count; i++) {
		check_one(doctor, config->lan[i], "none of its clients is served");
		check_mtu(doctor, config->lan[i]);
		check_vlans(doctor, config->lan[i]);
	}
	for (size_t i = 0; config && i < config->wan_count; i++)
		check_one(doctor, config->wan[i],
			  "what remotes answer to source = client legs comes by it");
}

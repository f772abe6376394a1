// SPDX-License-Identifier: GPL-2.0
/* See lan.h. */
#include "lan.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "rig.h"
#include "routing.h"

/* How long a packet may take that is on its way, milliseconds. */
#define PATIENCE_MS 20000

static int open_device(const char *dev, short flags)
{
	struct ifreq request = { .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		cr_skip_test("/dev/net/tun: %s", strerror(errno));
	memcpy(request.ifr_name, dev, strlen(dev));
	cr_assert_eq(ioctl(fd, TUNSETIFF, &request), 0, "%s: %s", dev, strerror(errno));
	return fd;
}

struct lan lan_open(void)
{
	/* A raw device needs the protocol in front of each packet (no IFF_NO_PI),
	 * or it would take nothing but IP. */
	struct lan lan = { .lan = open_device("lan", IFF_TAP | IFF_NO_PI),
			   .lan_raw = open_device("lanraw", IFF_TUN),
			   .wan = open_device("wan", IFF_TAP | IFF_NO_PI),
			   .wan_raw = open_device("wanraw", IFF_TUN) };

	rig_command("echo 1 >/proc/sys/net/ipv4/ip_forward");
	rig_command("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
	rig_command("echo 0 >/proc/sys/net/ipv4/tcp_ecn");
	/* What arrives by one interface is answered by another here. */
	rig_command("echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter");
	rig_command("for dev in lan lanraw wan wanraw; do "
		    "echo 0 >/proc/sys/net/ipv4/conf/$dev/rp_filter; done");
	rig_command("for dev in lan wan; do "
		    "ip link set $dev address 02:00:00:00:00:0a up || exit; done");
	rig_command("for dev in lanraw wanraw; do ip link set $dev up || exit; done");
	rig_command("ip route add 10.1.0.0/24 dev lanraw && "
		    "ip route add 2001:db8:1::/64 dev lanraw");
	rig_command("ip address add 198.51.100.1/24 dev wanraw && "
		    "ip address add 2001:db8:3::1/64 dev wanraw nodad");
	rig_command("ip route add 203.0.113.0/24 via %s && ip route add 2001:db8:2::/64 via %s",
		    ROUTER4, ROUTER6);
	return lan;
}

void lan_attach(void)
{
	static const struct {
		const char *dev;
		enum intercept_side side;
	} interfaces[] = { { "lan", SIDE_LAN },
			   { "lanraw", SIDE_LAN },
			   { "wan", SIDE_WAN },
			   { "wanraw", SIDE_WAN } };
	struct intercept_bpf *skeleton = rig.skeleton;
	char error[INTERCEPT_ERROR_MAX];
	int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; i < sizeof(interfaces) / sizeof(interfaces[0]); i++)
		cr_assert_eq(intercept_attach(rig.intercept, interfaces[i].dev, interfaces[i].side,
					      error),
			     0, "%s", error);
	skeleton->links.listener_lookup = bpf_program__attach_netns(skeleton->progs.listener_lookup,
								    netns);
	cr_assert_not_null(skeleton->links.listener_lookup, "%s", strerror(errno));
	close(netns);
	cr_assert_eq(routing_add(error, sizeof(error)), 0, "%s", error);
}

void lan_arrive(int fd, const struct packet *packet)
{
	uint8_t bytes[sizeof(struct tun_pi) + PACKET_MAX];
	struct tun_pi info = { .proto = htons(ETH_P_IP) };
	size_t length = 0;

	if (packet->l3_offset == 0) {
		if (packet->bytes[0] >> 4 == 6)
			info.proto = htons(ETH_P_IPV6);
		memcpy(bytes, &info, sizeof(info));
		length = sizeof(info);
	}
	memcpy(bytes + length, packet->bytes, packet->length);
	length += packet->length;
	cr_assert_eq(write(fd, bytes, length), (ssize_t)length, "%s", strerror(errno));
}

/* Reads until there is a TCP packet: IPv6 has things to say of its own. */
static bool read_tcp(int fd, struct packet *packet)
{
	uint8_t bytes[sizeof(struct tun_pi) + PACKET_MAX];
	const uint8_t *ip = bytes + sizeof(struct tun_pi);
	ssize_t length;

	while ((length = read(fd, bytes, sizeof(bytes))) > 0) {
		bool ipv6 = ip[0] >> 4 == 6;

		if (ip[ipv6 ? 6 : 9] != IPPROTO_TCP)
			continue;
		packet->l3_offset = 0;
		packet->l4_offset = ipv6 ? 40 : (ip[0] & 15U) * 4;
		packet->length = (size_t)length - sizeof(struct tun_pi);
		memcpy(packet->bytes, ip, packet->length);
		packet->headers_end = packet->l4_offset +
				      (packet->bytes[packet->l4_offset + 12] >> 4) * 4U;
		return true;
	}
	cr_assert_eq(errno, EAGAIN, "%s", strerror(errno));
	return false;
}

void lan_read(int fd, struct packet *packet)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	while (!read_tcp(fd, packet))
		cr_assert_eq(poll(&poll_fd, 1, PATIENCE_MS), 1, "no packet came out");
}

bool lan_is_quiet(int fd)
{
	struct packet packet;

	return !read_tcp(fd, &packet);
}

"""The pace towards each prefix in plain Python: one due time a network, nothing hashed."""

from ipaddress import IPv4Network, IPv6Network, ip_network


class Twin:
    def __init__(self, interval_ns: int, burst: int, prefix4: int, prefix6: int) -> None:
        self.interval_ns, self.burst = interval_ns, burst
        self.prefix = {4: prefix4, 6: prefix6}
        self.due_ns: dict[IPv4Network | IPv6Network, int] = {}
        self.admitted: list[IPv4Network | IPv6Network] = []

    def network(self, address: str) -> IPv4Network | IPv6Network:
        whole = ip_network(address)
        return whole.supernet(new_prefix=self.prefix[whole.version])

    def admit(self, addresses: list[str], now_ns: int) -> list[bool]:
        self.admitted = []
        verdicts = []
        for network in map(self.network, addresses):
            due_ns = self.due_ns.get(network, -(1 << 62))
            fits = due_ns - (self.burst - 1) * self.interval_ns <= now_ns
            if fits:
                self.due_ns[network] = max(due_ns, now_ns) + self.interval_ns
                self.admitted.append(network)
            verdicts.append(fits)
        return verdicts

    def postpone(self, lag_ns: int) -> None:
        for network in self.admitted:
            self.due_ns[network] += lag_ns
        self.admitted = []

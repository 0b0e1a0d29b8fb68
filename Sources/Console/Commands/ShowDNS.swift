import Engine
import Primitives

/// Names are looked up by the driver, which keeps the answers.
struct ShowDNSHosts: ShowCommand {
    struct Row {
        let name: ByteString
        let secondsLeft: Int
        let addresses: ByteString
    }

    static let words = "SHOW DNS_HOSTS"
    static let doc = "Host names that were looked up."
    static let columns: [Column<Row>] = [
        .text("hostname", "The name") { $0.name },
        .int8("ttl", "Seconds until it is looked up again") { $0.secondsLeft },
        .text("addrs", "Its addresses, with commas between them") { $0.addresses },
    ]

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [Row] {
        switchboard.names.hosts.map { host in
            // PgBouncer prints a port that is never known.
            let addresses = host.addresses.map { address in
                Array((address.family == .ipv6 ? "[\(address.host)]:0" : "\(address.host):0").utf8)
            }
            return Row(
                name: host.name,
                secondsLeft: host.expires > moment.now ? host.expires.since(moment.now).wholeSeconds : 0,
                addresses: ByteString(Array(addresses.joined(separator: [0x2C]))))
        }
    }
}

struct ShowDNSZones: ShowCommand {
    struct Row {
        let name: ByteString
        let serial: Int
        let hosts: Int
    }

    static let words = "SHOW DNS_ZONES"
    static let doc = "Zones of these host names, while dns_zone_check_period is set."
    static let columns: [Column<Row>] = [
        .text("zonename", "The zone: a host name without its first part") { $0.name },
        .int8("serial", "Serial number of the zone") { $0.serial },
        .int4("count", "Host names in it") { $0.hosts },
    ]

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [Row] {
        switchboard.names.zones.map { Row(name: $0.name, serial: Int($0.serial ?? 0), hosts: $0.hosts) }
    }
}

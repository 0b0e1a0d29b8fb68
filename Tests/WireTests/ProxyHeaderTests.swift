import Primitives
import Testing
import Wire

/// What a proxy says before its client speaks.
@Suite struct ProxyHeaderTests {
    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    /// A header of version 2; `extra` stands for what proxies add behind the addresses.
    static func binary(_ command: UInt8, _ kind: UInt8, _ addresses: [UInt8], extra: [UInt8] = []) -> [UInt8]
    {
        let rest = addresses.count + extra.count
        return signature + [command, kind, UInt8(rest >> 8), UInt8(rest & 255)] + addresses + extra
    }

    static let ipv4: [UInt8] = [203, 0, 113, 7, 10, 0, 0, 1, 0xC3, 0x50, 0x18, 0xEC]
    static let ipv6: [UInt8] =
        [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9] + [UInt8](repeating: 1, count: 16)
        + [0xC3, 0x50, 0x18, 0xEC]
    static let four = SocketAddress(family: .ipv4, high: 0xCB00_7107 << 32, port: 50_000)
    static let six = SocketAddress(family: .ipv6, high: 0x2001_0DB8_0000_0000, low: 9, port: 50_000)

    static func read(_ bytes: [UInt8]) -> ProxyHeader { ByteString(bytes).withView { ProxyHeader.read($0) } }
    static func read(_ line: String) -> ProxyHeader { read(Array(line.utf8)) }

    struct Good: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var bytes: [UInt8]
        var address: SocketAddress?
    }

    static let good: [Good] = [
        Good(
            testDescription: "TCP4", bytes: Array("PROXY TCP4 203.0.113.7 10.0.0.1 50000 6380\r\n".utf8),
            address: four),
        Good(
            testDescription: "TCP6", bytes: Array("PROXY TCP6 2001:db8::9 ::1 50000 6380\r\n".utf8),
            address: six),
        Good(testDescription: "UNKNOWN", bytes: Array("PROXY UNKNOWN\r\n".utf8)),
        Good(testDescription: "UNKNOWN and more", bytes: Array("PROXY UNKNOWN ffff::1 x 1 2\r\n".utf8)),
        Good(testDescription: "2, IPv4", bytes: binary(0x21, 0x11, ipv4), address: four),
        Good(testDescription: "2, IPv6", bytes: binary(0x21, 0x21, ipv6), address: six),
        Good(
            testDescription: "2, more behind the addresses",
            bytes: binary(
                0x21, 0x11, ipv4, extra: [0xEA, 0, 3, 1, 2, 3] + [UInt8](repeating: 7, count: 900)),
            address: four),
        Good(testDescription: "2, LOCAL", bytes: binary(0x20, 0, [])),
        Good(testDescription: "2, LOCAL with addresses", bytes: binary(0x20, 0x11, ipv4)),
        Good(testDescription: "2, LOCAL of an unknown kind", bytes: binary(0x20, 0x99, [1, 2, 3])),
        Good(testDescription: "2, unspecified", bytes: binary(0x21, 0, [1, 2, 3])),
        Good(testDescription: "2, unix", bytes: binary(0x21, 0x31, [UInt8](repeating: 0x61, count: 216))),
        Good(
            testDescription: "2, the longest",
            bytes: binary(0x21, 0x11, ipv4, extra: [UInt8](repeating: 7, count: ProxyHeader.limitBytes - 28)),
            address: four),
    ]

    /// Cut at every byte more is waited for; whole, and with anything behind it, it is the same header.
    @Test(arguments: good)
    func understood(_ case: Good) {
        let bytes = `case`.bytes
        for count in 0..<bytes.count { #expect(Self.read(Array(bytes[..<count])) == .incomplete, "\(count)") }
        let header: ProxyHeader =
            `case`.address.map { .client($0, length: bytes.count) } ?? .own(length: bytes.count)
        #expect(Self.read(bytes) == header)
        #expect(Self.read(bytes + [0, 0, 0, 8, 4, 0xD2, 0x16, 0x2F]) == header)
        #expect(Self.read(bytes + bytes) == header)
    }

    @Test(arguments: [
        "PROXY \r\n", "PROXY\r\n", "PROXY TCP4\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 nowhere 1 2\r\n",
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY unknown\r\n", "\n",
    ])
    func brokenLines(_ line: String) {
        switch Self.read(line) {
        case .malformed, .absent: break
        case let other: Issue.record("\(line) is \(other)")
        }
    }

    @Test func aLineWithoutEndIsGivenUp() {
        let front = Array("PROXY TCP4 ".utf8)
        #expect(Self.read(front + [UInt8](repeating: 0x31, count: 106 - front.count)) == .incomplete)
        #expect(
            Self.read(front + [UInt8](repeating: 0x31, count: 107 - front.count))
                == .malformed("the line has no end"))
    }

    @Test(arguments: [
        ProxyHeaderTests.binary(0x31, 0x11, ipv4), ProxyHeaderTests.binary(0x22, 0x11, ipv4),
        ProxyHeaderTests.binary(0x21, 0x12, ipv4), ProxyHeaderTests.binary(0x21, 0x41, ipv4),
        ProxyHeaderTests.binary(0x21, 0x11, Array(ipv4.dropLast())),
        ProxyHeaderTests.binary(0x21, 0x21, ipv4),
        ProxyHeaderTests.binary(0x21, 0x31, ipv4),
        ProxyHeaderTests.signature + [0x21, 0x11, 0xFF, 0xFF],
    ])
    func brokenBinary(_ bytes: [UInt8]) {
        let header = Self.read(bytes)
        if case .malformed = header { return }
        Issue.record("\(bytes) is \(header)")
    }

    /// An oversize header is refused on its length, before any of it is waited for.
    @Test func oversize() {
        let rest = ProxyHeader.limitBytes - 16
        let fits = Self.signature + [0x21, 0x11, UInt8(rest >> 8), UInt8(rest & 255)]
        #expect(Self.read(fits) == .incomplete)
        let over = Self.signature + [0x21, 0x11, UInt8((rest + 1) >> 8), UInt8((rest + 1) & 255)]
        #expect(Self.read(over) == .malformed("too long"))
    }

    @Test(arguments: [
        [0, 0, 0, 8, 4, 0xD2, 0x16, 0x2F], [0x16, 3, 1], Array("GET / HTTP/1.1".utf8), Array("PRoXY ".utf8),
        [0x51],
        [0x0D, 0x0A, 0x0D, 0x0B],
    ])
    func somethingElse(_ bytes: [UInt8]) { #expect(Self.read(bytes) == .absent) }
}

import Config
import Primitives
import Testing

@Suite struct AddressListTests {
    private static func four(_ number: UInt64) -> SocketAddress {
        SocketAddress(family: .ipv4, high: number << 32)
    }

    @Test func networksAndSingleAddresses() throws {
        let list = try #require(AddressList(["10.0.0.0/8", "192.168.7.4", "fd00::/8", "::1"]))
        for number in [0x0A00_0001, 0x0AFF_FFFF, 0xC0A8_0704] as [UInt64] {
            #expect(list.contains(Self.four(number)))
            // The same through an IPv6 socket.
            #expect(list.contains(SocketAddress(family: .ipv6, low: 0xFFFF << 32 | number)))
        }
        #expect(list.contains(SocketAddress(family: .ipv6, low: 1)))
        #expect(list.contains(SocketAddress(family: .ipv6, high: 0xFD12 << 48, low: 7)))
        for number in [0x0B00_0001, 0xC0A8_0705, 0] as [UInt64] {
            #expect(!list.contains(Self.four(number)))
        }
        #expect(!list.contains(SocketAddress(family: .ipv6, low: 2)))
        #expect(!list.contains(SocketAddress(family: .unix)))
    }

    /// A mistake must not become a network that everybody is in.
    @Test(
        arguments: [
            "10.0.0.0/-0", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/33", "::/129", "10.0.0.0/8/8", "10.0.0.0/0x8", "10.0.0",
            "10.0.0.0/8000000000000000000000", "/8", "localhost", "10.0.0.0/8.", "*",
        ] as [ByteString])
    func whatIsNoNetwork(word: ByteString) { #expect(AddressList([word]) == nil) }
}

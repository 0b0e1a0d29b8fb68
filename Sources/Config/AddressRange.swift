public import Primitives

/// IP addresses of one family under a mask.
public struct AddressRange: Equatable, Sendable {
    public let family: SocketAddress.Family
    private let high: UInt64
    private let low: UInt64
    private let highMask: UInt64
    private let lowMask: UInt64

    /// Bits outside the mask do not count.
    public init(_ address: SocketAddress, mask: SocketAddress) {
        family = address.family
        highMask = mask.high
        lowMask = mask.low
        high = address.high & mask.high
        low = address.low & mask.low
    }

    /// The first `prefix` bits count: 0 to 32, or to 128. `nil` for more.
    public init?(_ address: SocketAddress, prefix: Int) {
        guard prefix >= 0, prefix <= (address.family == .ipv4 ? 32 : 128) else { return nil }
        let ones = { (count: Int) in count >= 64 ? UInt64.max : ~(UInt64.max >> UInt64(max(count, 0))) }
        self.init(
            address,
            mask: SocketAddress(family: address.family, high: ones(prefix), low: ones(prefix - 64)))
    }

    /// An IPv4 address that came through an IPv6 socket counts as IPv4.
    public func contains(_ address: SocketAddress) -> Bool {
        let address = address.unmapped
        return address.family == family && address.high & highMask == high && address.low & lowMask == low
    }
}

/// Networks and single addresses, with the words they were written in.
public struct AddressList: Equatable, Sendable {
    public let words: [ByteString]
    private let ranges: [AddressRange]

    public init() {
        words = []
        ranges = []
    }

    /// `nil` unless every word is an address, or an address, a slash and the number of bits that count.
    public init?(_ words: [ByteString]) {
        self.words = words
        var ranges: [AddressRange] = []
        for word in words {
            let parts = word.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            guard let address = SocketAddress(parsing: ByteString(Array(parts[0]))), parts.count <= 2 else {
                return nil
            }
            let all = address.family == .ipv4 ? 32 : 128
            let digits = parts.count == 2 ? Array(parts[1]) : []
            guard digits.count <= 3, digits.allSatisfy(\.isDigit), parts.count == 1 || !digits.isEmpty else {
                return nil
            }
            let bits = parts.count == 1 ? all : digits.reduce(0) { $0 * 10 + Int($1 &- 0x30) }
            guard let range = AddressRange(address, prefix: bits) else { return nil }
            ranges.append(range)
        }
        self.ranges = ranges
    }

    public var isEmpty: Bool { ranges.isEmpty }
    public func contains(_ address: SocketAddress) -> Bool { ranges.contains { $0.contains(address) } }
}

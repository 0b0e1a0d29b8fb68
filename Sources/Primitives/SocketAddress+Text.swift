extension SocketAddress {
    /// An IPv4 address that came through an IPv6 socket is IPv4.
    public var unmapped: SocketAddress {
        guard family == .ipv6, high == 0, low >> 32 == 0xFFFF else { return self }
        return SocketAddress(family: .ipv4, high: low << 32, port: port)
    }

    /// An IPv4 address as four decimal numbers, or an IPv6 address (RFC 4291, section 2.2).
    public init?(parsing text: ByteString) {
        if let address = Self.ipv4(text.bytes[...]) {
            self.init(family: .ipv4, high: UInt64(address) << 32)
        } else if let (high, low) = Self.ipv6(text.bytes) {
            self.init(family: .ipv6, high: high, low: low)
        } else {
            return nil
        }
    }

    private static func ipv4(_ text: ArraySlice<UInt8>) -> UInt32? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy({ (0x30...0x39).contains($0) }),
                part.count == 1 || part.first != 0x30
            else { return nil }
            let value = part.reduce(UInt32(0)) { $0 * 10 + UInt32($1 - 0x30) }
            guard value <= 255 else { return nil }
            address = address << 8 | value
        }
        return address
    }

    private static func ipv6(_ text: [UInt8]) -> (UInt64, UInt64)? {
        guard text.count <= 45 else { return nil }
        let colon = UInt8(ascii: ":")
        // At most one "::", which stands for as many zeros as are missing.
        var gap: Int?
        for index in text.indices.dropLast() where text[index] == colon && text[index + 1] == colon {
            if gap != nil { return nil }
            gap = index
        }
        func groups(_ part: ArraySlice<UInt8>, mayEndInIPv4: Bool) -> [UInt16]? {
            if part.isEmpty { return [] }
            var all: [UInt16] = []
            let pieces = part.split(separator: colon, omittingEmptySubsequences: false)
            for (index, piece) in pieces.enumerated() {
                if mayEndInIPv4, index == pieces.count - 1, let address = ipv4(piece) {
                    all += [UInt16(address >> 16), UInt16(truncatingIfNeeded: address)]
                    continue
                }
                guard (1...4).contains(piece.count) else { return nil }
                var value: UInt16 = 0
                for digit in piece {
                    guard let digit = digit.hexValue else { return nil }
                    value = value << 4 | UInt16(digit)
                }
                all.append(value)
            }
            return all
        }
        let words: [UInt16]
        if let gap {
            guard let front = groups(text[..<gap], mayEndInIPv4: false),
                let back = groups(text[(gap + 2)...], mayEndInIPv4: true), front.count + back.count <= 7
            else { return nil }
            words = front + [UInt16](repeating: 0, count: 8 - front.count - back.count) + back
        } else {
            guard let all = groups(text[...], mayEndInIPv4: true), all.count == 8 else { return nil }
            words = all
        }
        let number = { (part: ArraySlice<UInt16>) in part.reduce(UInt64(0)) { $0 << 16 | UInt64($1) } }
        return (number(words[..<4]), number(words[4...]))
    }
}

extension UInt8 {
    fileprivate var hexValue: UInt8? {
        switch self {
        case 0x30...0x39: self - 0x30
        case 0x41...0x46: self - 0x37
        case 0x61...0x66: self - 0x57
        default: nil
        }
    }
}

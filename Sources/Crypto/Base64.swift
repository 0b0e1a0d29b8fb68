public import Primitives

/// Base64 (RFC 4648, section 4) as SCRAM wants it: padded, no white space.
public enum Base64 {
    public static func encode(_ bytes: ByteView) -> ByteString {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count &+ 2) / 3 &* 4)
        var offset = 0
        while offset < bytes.count {
            let second = bytes[offset &+ 1]
            let third = bytes[offset &+ 2]
            let group =
                UInt32(bytes[offset] ?? 0) << 16 | UInt32(second ?? 0) << 8 | UInt32(third ?? 0)
            text.append(letter(group >> 18))
            text.append(letter(group >> 12))
            text.append(second == nil ? padding : letter(group >> 6))
            text.append(third == nil ? padding : letter(group))
            offset &+= 3
        }
        return ByteString(text)
    }

    /// `nil` for anything `encode` would not have written: white space, missing or inner padding, other
    /// letters, bits set behind the end.
    public static func decode(_ text: ByteView) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 &* 3)
        var offset = 0
        while offset < text.count {
            let isLast = offset &+ 4 == text.count
            guard let group = decodeGroup(text.slice(offset, 4), mayBePadded: isLast) else { return nil }
            bytes.append(UInt8(truncatingIfNeeded: group.bits >> 16))
            if group.byteCount > 1 { bytes.append(UInt8(truncatingIfNeeded: group.bits >> 8)) }
            if group.byteCount > 2 { bytes.append(UInt8(truncatingIfNeeded: group.bits)) }
            offset &+= 4
        }
        return bytes
    }

    private static let padding: UInt8 = 0x3D

    private static func decodeGroup(_ group: ByteView, mayBePadded: Bool) -> (bits: UInt32, byteCount: Int)? {
        guard let a = value(group[0]), let b = value(group[1]) else { return nil }
        let head = a << 18 | b << 12
        if mayBePadded, group[3] == padding {
            if group[2] == padding { return b & 0xF == 0 ? (head, 1) : nil }
            guard let c = value(group[2]), c & 0x3 == 0 else { return nil }
            return (head | c << 6, 2)
        }
        guard let c = value(group[2]), let d = value(group[3]) else { return nil }
        return (head | c << 6 | d, 3)
    }

    /// The letter for the lowest six bits.
    private static func letter(_ bits: UInt32) -> UInt8 {
        let value = UInt8(truncatingIfNeeded: bits & 63)
        switch value {
        case 0..<26: return 0x41 &+ value
        case 26..<52: return 0x61 &+ (value &- 26)
        case 52..<62: return 0x30 &+ (value &- 52)
        case 62: return 0x2B
        default: return 0x2F
        }
    }

    private static func value(_ letter: UInt8?) -> UInt32? {
        guard let letter else { return nil }
        switch letter {
        case 0x41...0x5A: return UInt32(letter &- 0x41)
        case 0x61...0x7A: return UInt32(letter &- 0x61) &+ 26
        case 0x30...0x39: return UInt32(letter &- 0x30) &+ 52
        case 0x2B: return 62
        case 0x2F: return 63
        default: return nil
        }
    }
}

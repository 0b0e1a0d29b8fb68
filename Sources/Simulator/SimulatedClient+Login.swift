import Primitives

/// The first bytes of a client.
extension SimulatedClient {
    /// What it writes when the connection stands.
    var firstBytes: Bytes {
        switch login {
        case .plain, .unknownDatabase, .wrongPassword, .noUser, .silent, .cutExchange, .garbledExchange:
            return startupPacket
        case .asksEncryption: return Self.request(80_877_103)
        case .smuggles: return Self.request(80_877_103) + [0x51]
        case .garbage: return Array("GET / HTTP/1.1\r\n\r\n".utf8)
        case .future: return startupPacket
        case .half: return Array(startupPacket.prefix(startupPacket.count / 2))
        }
    }

    /// It is refused, or told nothing, and that is right.
    var isHopeless: Bool {
        switch login {
        case .plain, .asksEncryption, .future: false
        case .unknownDatabase: !takesAnyDatabase
        case .smuggles, .wrongPassword, .garbage, .noUser, .half, .silent, .cutExchange, .garbledExchange:
            true
        }
    }

    private static func request(_ code: UInt32) -> Bytes {
        var packet = Bytes()
        packet.append(uint32: 8)
        packet.append(uint32: code)
        return packet
    }

    private var minor: UInt32 {
        if login == .future { return 9999 }
        return script.wishes.count % 2 == 1 ? 2 : 0
    }

    var startupPacket: Bytes {
        var packet = Bytes()
        packet.append(uint32: 0)
        packet.append(uint32: 3 << 16 | minor)
        var pairs =
            [
                (
                    "database",
                    login == .unknownDatabase && !takesAnyDatabase ? "nowhere" : script.database
                )
            ] + script.wishes
        if login != .noUser { pairs.insert(("user", script.user), at: 0) }
        if login == .future { pairs.append(("_pq_.something", "1")) }
        for (name, value) in pairs {
            packet.append(cString: name)
            packet.append(cString: value)
        }
        packet.append(0)
        let length = UInt32(packet.count)
        for (place, shift) in [24, 16, 8, 0].enumerated() {
            packet[place] = UInt8(truncatingIfNeeded: length >> UInt32(shift))
        }
        return packet
    }
}

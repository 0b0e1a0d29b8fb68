import CLinux
import Engine
import EventLoop
import Primitives
import Wire

/// What the process before has told: its listening sockets and its sessions. They are still its own until it
/// is told to end.
struct Estate {
    struct Row {
        /// -1 for none.
        var descriptor: Int32
        /// Of the descriptor in the process before, and of its partner's there; 0 for none.
        var number: Int32
        var partner: Int32
        var heirloom: Heirloom
        var kept: ByteString
    }

    var listeners: [(descriptor: Int32, isUnix: Bool)] = []
    var rows: [Row] = []

    /// Takes in one row with its socket; `false` when it is broken.
    mutating func add(_ row: FDCells, next descriptor: () -> Int32?) -> Bool {
        let heirloom: Heirloom
        switch row.text(1)?.lossyText {
        case "pooler":
            guard let descriptor = descriptor() else { return false }
            listeners.append((descriptor, row.text(4) == "unix"))
            return true
        case "client": heirloom = row.heirloom(.client)
        case "server": heirloom = row.heirloom(.server)
        case "pool": heirloom = row.heirloom(.pool)
        case "statement": heirloom = row.heirloom(.prepared)
        default: return false
        }
        var taken: Int32 = -1
        if heirloom.task == .client || heirloom.task == .server {
            guard let descriptor = descriptor() else { return false }
            taken = descriptor
        }
        rows.append(
            Row(
                descriptor: taken, number: Int32(truncatingIfNeeded: row.number(0)),
                partner: Int32(truncatingIfNeeded: row.number(7)), heirloom: heirloom,
                kept: row.bytes(15) ?? ""))
        return true
    }
}

/// The values of one DataRow of SHOW FDS.
struct FDCells {
    private var cells: [ByteString?] = []

    /// `nil` when the message is broken.
    init?(_ body: ByteView) {
        guard let count = body.uint16(at: 0) else { return nil }
        var offset = 2
        for _ in 0..<count {
            guard let length = body.uint32(at: offset) else { return nil }
            offset += 4
            if length == .max {
                cells.append(nil)
                continue
            }
            guard Int(length) <= body.count - offset else { return nil }
            cells.append(ByteString(body.slice(offset, Int(length))))
            offset += Int(length)
        }
    }

    func text(_ column: Int) -> ByteString? { column < cells.count ? cells[column] : nil }

    /// 0 for what is not one.
    func number(_ column: Int) -> Int64 { text(column).flatMap { Int64($0.lossyText) } ?? 0 }

    /// Of PostgreSQL's hexadecimal form.
    func bytes(_ column: Int) -> ByteString? {
        guard let text = text(column), text.bytes.starts(with: [0x5C, 0x78]), text.count % 2 == 0 else {
            return nil
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 2)
        var high: UInt8?
        for digit in text.bytes.dropFirst(2) {
            let value: UInt8
            switch digit {
            case 0x30...0x39: value = digit &- 0x30
            case 0x61...0x66: value = digit &- 0x61 &+ 10
            case 0x41...0x46: value = digit &- 0x41 &+ 10
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return ByteString(bytes)
    }

    func heirloom(_ task: Heirloom.Task) -> Heirloom {
        var heirloom = Heirloom(task)
        heirloom.user = text(2)
        heirloom.database = text(3)
        heirloom.address = address
        heirloom.key = UInt64(bitPattern: number(6))
        heirloom.isPaired = number(7) != 0
        heirloom.clientEncoding = text(8)
        heirloom.standardStrings = text(9)
        heirloom.dateStyle = text(10)
        heirloom.timeZone = text(11)
        heirloom.password = text(12)
        heirloom.clientKey = bytes(13)
        heirloom.serverKey = bytes(14)
        heirloom.state = bytes(16) ?? ""
        return heirloom
    }

    private var address: SocketAddress {
        var address = linux_address()
        let port = UInt16(truncatingIfNeeded: number(5))
        guard let host = text(4), host != "unix",
            host.withCString({ linux_parse_address($0, &address) }) != 0
        else { return SocketAddress(family: .unix, port: port) }
        address.port = port
        return SocketAddress(address)
    }
}

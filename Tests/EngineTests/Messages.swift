import Config
import Primitives
import Wire

/// Messages as tests write them: bytes, to be joined with `+`.
typealias Bytes = [UInt8]

func bytes(_ body: (inout ByteBuffer) -> Void) -> Bytes {
    var buffer = ByteBuffer()
    body(&buffer)
    return Array(buffer.view.rawBuffer)
}

/// Any message at all: its type as a character, and its body with `·` for a zero byte.
func message(_ kind: Character, _ body: String = "") -> Bytes {
    message(kind, Bytes(body.utf8).joiningDots)
}

func message(_ kind: Character, _ body: Bytes) -> Bytes {
    bytes {
        $0.append(kind.asciiValue ?? 0)
        $0.append(uint32: UInt32(4 + body.count))
        $0.append(ByteString(body))
    }
}

extension Bytes {
    /// `·` is C2 B7 in UTF-8.
    fileprivate var joiningDots: Bytes {
        var joined: Bytes = []
        var index = 0
        while index < count {
            if index + 1 < count, self[index] == 0xC2, self[index + 1] == 0xB7 {
                joined.append(0)
                index += 2
            } else {
                joined.append(self[index])
                index += 1
            }
        }
        return joined
    }
}

// MARK: What clients say

func startup(_ pairs: [(String, String)], version: UInt32 = 3 << 16) -> Bytes {
    bytes {
        $0.append(uint32: 0)
        $0.append(uint32: version)
        for (name, value) in pairs {
            $0.append(cString: ByteString(name))
            $0.append(cString: ByteString(value))
        }
        $0.append(0)
        $0.set(uint32: UInt32($0.count), at: 0)
    }
}

func cancelRequest(_ key: Bytes) -> Bytes {
    bytes {
        $0.append(uint32: UInt32(8 + key.count))
        $0.append(uint32: 1234 << 16 | 5678)
        $0.append(ByteString(key))
    }
}

let sslRequest = bytes {
    $0.append(uint32: 8)
    $0.append(uint32: 1234 << 16 | 5679)
}
let gssRequest = bytes {
    $0.append(uint32: 8)
    $0.append(uint32: 1234 << 16 | 5680)
}

func query(_ sql: String) -> Bytes { message("Q", sql + "·") }
func parse(_ name: String, _ sql: String) -> Bytes { message("P", "\(name)·\(sql)···") }
func bind(_ name: String) -> Bytes { message("B", "·\(name)·······") }
func describe(_ name: String) -> Bytes { message("D", "S\(name)·") }
func closeStatement(_ name: String) -> Bytes { message("C", "S\(name)·") }
let execute = message("E", "·····")
let sync = message("S")
let flush = message("H")
let terminate = message("X")
func copyData(_ text: String) -> Bytes { message("d", text) }
let copyDone = message("c")
let copyFail = message("f", "no·")
func password(_ text: String) -> Bytes { message("p", text + "·") }

// MARK: What servers say

let authenticationOk = message("R", "····")
func parameterStatus(_ name: String, _ value: String) -> Bytes { message("S", "\(name)·\(value)·") }
func backendKey(_ processID: UInt32, _ secret: UInt32) -> Bytes {
    bytes {
        $0.message(.backendKeyData) {
            $0.append(uint32: processID)
            $0.append(uint32: secret)
        }
    }
}
let ready = message("Z", "I")
let readyInTransaction = message("Z", "T")
let readyInFailedTransaction = message("Z", "E")
func complete(_ tag: String) -> Bytes { message("C", tag + "·") }
func row(_ text: String) -> Bytes { message("D", "··" + text) }
let rowDescription = message("T", "··")
let parameterDescription = message("t", "··")
let noData = message("n")
let parseComplete = message("1")
let bindComplete = message("2")
let closeComplete = message("3")
let emptyQuery = message("I")
func result(_ text: String) -> Bytes { rowDescription + row(text) + complete("SELECT 1") }
func failure(_ state: String, _ text: String, severity: String = "ERROR") -> Bytes {
    message("E", "S\(severity)·C\(state)·M\(text)··")
}
func notice(_ text: String) -> Bytes { message("N", "SNOTICE·C00000·M\(text)··") }
func notification(_ text: String) -> Bytes { message("A", "····\(text)··") }
func notification(_ channel: String, from processID: UInt32) -> Bytes {
    bytes {
        $0.message(.notificationResponse) {
            $0.append(uint32: processID)
            $0.append(cString: ByteString(channel))
            $0.append(cString: "")
        }
    }
}
let copyInResponse = message("G", "···")
let copyOutResponse = message("H", "···")

// MARK: Reading them again

extension Bytes {
    /// Each whole message as text, `startup(…)` or `cancel(…)` for a first packet, and `…n` for n bytes of an unfinished one.
    func messages(fromServer: Bool, afterFirstPacket: Bool) -> [String] {
        var texts: [String] = []
        var offset = 0
        if !afterFirstPacket, count >= 8 {
            let length = Swift.max(8, Int(word(at: 0)))
            let body = self[8..<Swift.min(length, count)]
            texts.append(
                word(at: 4) == 3 << 16 ? "startup(\(body.printable))" : "cancel(\(body.printable))")
            offset = length
        }
        while offset < count {
            guard offset + 5 <= count, offset + 1 + Int(word(at: offset + 1)) <= count else {
                texts.append("…\(count - offset)")
                break
            }
            guard word(at: offset + 1) >= 4 else {
                texts.append("?" + self[offset...].printable)
                break
            }
            let end = offset + 1 + Int(word(at: offset + 1))
            let body = Bytes(self[(offset + 5)..<end])
            let kind = self[offset]
            let isReport = fromServer && (kind == 0x45 || kind == 0x4E)
            let text = isReport ? body.report : body.printable
            texts.append(String(UnicodeScalar(kind)) + (text.isEmpty ? "" : "(\(text))"))
            offset = end
        }
        return texts
    }

    /// The bodies of whole messages.
    var bodies: [Bytes] {
        var bodies: [Bytes] = []
        var offset = 0
        while offset + 5 <= count {
            let end = Swift.min(count, offset + 1 + Int(word(at: offset + 1)))
            bodies.append(Bytes(self[(offset + 5)..<end]))
            offset = end
        }
        return bodies
    }

    private func word(at offset: Int) -> UInt32 {
        self[offset..<(offset + 4)].reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Severity, state and text of an ErrorResponse or NoticeResponse.
    private var report: String {
        withUnsafeBytes { raw in
            let view = ByteView(raw)
            let fields = [0x53, 0x43, 0x4D].map { ServerMessage.field($0, of: view)?.lossyText ?? "?" }
            return fields.joined(separator: " ")
        }
    }
}

extension Collection where Element == UInt8 {
    /// Zero bytes as `·`, other bytes that do not print as `\xNN`; zero bytes at the end are left out.
    var printable: String {
        var text = ""
        var zeroes = 0
        for byte in self {
            if byte == 0 {
                zeroes += 1
                continue
            }
            text += String(repeating: "·", count: zeroes)
            zeroes = 0
            text +=
                (0x20..<0x7F).contains(byte) ? String(UnicodeScalar(byte)) : "\\x" + String(byte, radix: 16)
        }
        return text
    }
}

extension GlobalSettings {
    /// The default, without asking servers for TLS.
    static var inTheClear: GlobalSettings {
        var global = GlobalSettings()
        global.serverTLSSSLMode = .disable
        return global
    }
}

import EventLoop
import Primitives
import Testing

@Suite struct LogTextTests {
    private func cleaned(_ bytes: [UInt8], limit: Int = LogText.lineLimitBytes) -> String {
        var line = ByteBuffer()
        ByteString(bytes).withView { LogText.append($0, to: &line, limit: limit) }
        return line.view.lossyText
    }

    @Test func plainTextStays() {
        #expect(
            cleaned(Array("db/user@[::1]:5 grüße 日本 🦒".utf8)) == "db/user@[::1]:5 grüße 日本 🦒")
    }

    @Test func controlBytesAreEscaped() {
        #expect(
            cleaned(Array("a\nLOG forged\u{1b}[31m\r\u{7f}\tb".utf8))
                == "a\\x0aLOG forged\\x1b[31m\\x0d\\x7f\\x09b")
        #expect(cleaned([0]) == "\\x00")
    }

    @Test func lineEndAtTheEndIsDropped() { #expect(cleaned(Array("text\r\n".utf8)) == "text") }

    @Test func whatIsNotUTF8IsEscaped() {
        #expect(cleaned([0xC3]) == "\\xc3")
        #expect(cleaned([0xC0, 0xAF]) == "\\xc0\\xaf")
        #expect(cleaned([0xED, 0xA0, 0x80]) == "\\xed\\xa0\\x80")
        #expect(cleaned([0xF5, 0x80, 0x80, 0x80]) == "\\xf5\\x80\\x80\\x80")
        #expect(cleaned([0xE2, 0x80]) == "\\xe2\\x80")
    }

    @Test func controlsBeyondASCIIAreEscaped() {
        #expect(cleaned([0xC2, 0x9B]) == "\\xc2\\x9b")
        #expect(cleaned(Array("\u{202E}".utf8)) == "\\xe2\\x80\\xae")
        #expect(cleaned(Array("\u{2028}".utf8)) == "\\xe2\\x80\\xa8")
        #expect(cleaned(Array("\u{2026}".utf8)) == "\u{2026}")
    }

    @Test func everyPairOfBytesBecomesOnePrintableLine() {
        for first in 0...255 {
            for second in 0...255 {
                let text = cleaned([UInt8(first), UInt8(second), 0x80])
                #expect(text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F })
                #expect(!text.unicodeScalars.contains("\u{FFFD}"))
            }
        }
    }

    @Test func longTextIsCut() {
        #expect(cleaned([UInt8](repeating: 1, count: 100), limit: 10) == "\\x01\\x01")
        #expect(cleaned([UInt8](repeating: 0x61, count: 9000)).utf8.count <= LogText.lineLimitBytes)
    }
}

import Primitives
import Testing
import Wire

@Suite struct MessageWriterTests {
    private func written(_ body: (inout ByteBuffer) -> Void) -> [UInt8] {
        var buffer = ByteBuffer()
        buffer.append(0xEE)
        body(&buffer)
        return Array(buffer.view.rawBuffer.dropFirst())
    }

    @Test func lengthsCoverTheBodyAndThemselves() {
        #expect(written { $0.message(.parseComplete) } == [0x31, 0, 0, 0, 4])
        #expect(written { $0.readyForQuery(.inTransaction) } == [0x5A, 0, 0, 0, 5, 0x54])
        #expect(written { $0.query("ab") } == [0x51, 0, 0, 0, 7, 0x61, 0x62, 0])
        #expect(written { $0.commandComplete("X") } == [0x43, 0, 0, 0, 6, 0x58, 0])
        #expect(written { $0.authentication(.ok) } == [0x52, 0, 0, 0, 8, 0, 0, 0, 0])
        #expect(
            written { $0.parameterStatus("a", "bc") } == [0x53, 0, 0, 0, 9, 0x61, 0, 0x62, 0x63, 0])
    }

    /// What we write is what our readers read.
    @Test func reportsAreReadAgain() {
        let message = written {
            $0.report(
                .errorResponse, severity: "FATAL", state: "08P01", text: "no", detail: "why", hint: "do")
        }
        ByteString(message).withView { view in
            #expect(
                view.frame(at: 0, limitBytes: 1000)
                    == .header(FrameHeader(kind: 0x45, messageBytes: view.count)))
            let body = view.slice(5)
            let fields = "SCMDH".utf8.map { ServerMessage.field($0, of: body)?.lossyText }
            #expect(fields == ["FATAL", "08P01", "no", "why", "do"])
            #expect(body[body.count - 1] == 0)
        }
    }

    @Test func messagesFollowEachOther() {
        let bytes = written {
            $0.message(.sync)
            $0.message(.closeComplete)
        }
        #expect(bytes == [0x53, 0, 0, 0, 4, 0x33, 0, 0, 0, 4])
    }
}

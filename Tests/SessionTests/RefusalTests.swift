import Primitives
import Session
import Testing
import Wire

@Suite struct RefusalTests {
    private func fields(_ refusal: Refusal) -> [String?] {
        var buffer = ByteBuffer()
        refusal.write(into: &buffer)
        let body = buffer.view.slice(5)
        return "SCMDH".utf8.map { ServerMessage.field($0, of: body)?.lossyText }
    }

    @Test func refusalsAreErrorResponses() {
        #expect(fields(.shuttingDown) == ["FATAL", "08P01", "pooler is shutting down", nil, nil])
        #expect(
            fields(.canceled) == ["ERROR", "57014", "canceling statement due to user request", nil, nil])
        #expect(fields(.serverOutOfStep)[3] == "The server broke the protocol.")
        #expect(fields(.maxClients)[4]?.isEmpty == false)
    }

    @Test func namesAreQuotedAsTheyAre() {
        #expect(fields(.noDatabase("x\"y"))[2] == "no such database: x\"y")
        #expect(fields(.disabledDatabase("d"))[2] == "database \"d\" is disabled")
        #expect(fields(.duplicateStatement("s"))[1] == "42P05")
    }

    @Test func badHeadersShowAtMostEightBytes() {
        let text = ByteString([0, 1, 0xAB, 0xFF, 4, 5, 6, 7, 8, 9]).withView {
            fields(.badHeader($0))[2]
        }
        #expect(text == "bad packet header: '0001abff04050607'")
    }
}

import Primitives
import Testing

@testable import EventLoop

@Suite struct LogEntryTests {
    private func json(_ text: ByteString, _ level: Severity = .log) -> String {
        var line = ByteBuffer()
        text.withView { LogEntry($0).appendJSON(level, 7, nanoseconds: 1_700_000_000_012_345_678, to: &line) }
        return line.view.lossyText
    }

    private func text(_ line: ByteString) -> String {
        var buffer = ByteBuffer()
        line.withView { LogEntry($0).appendText(to: &buffer) }
        return buffer.view.lossyText
    }

    private static let start = "{\"time\":\"2023-11-14T22:13:20.012Z\",\"level\":\"LOG\",\"pid\":7,"

    @Test func aLineWithoutALink() {
        #expect(
            json("got SIGHUP, re-reading config")
                == Self.start + "\"event\":\"signal\",\"message\":\"got SIGHUP, re-reading config\"}")
        #expect(json("something else").contains("\"event\":\"message\""))
        #expect(json("x", .warning).contains("\"level\":\"WARNING\""))
    }

    @Test func aLineAboutALink() {
        let line: ByteString =
            "\0C\0500\0app\0joe\0[::1]:5\0closing because: client \"x\" (age=1s) gone (age=12s)"
        #expect(
            json(line) == Self.start
                + "\"event\":\"closed\",\"side\":\"client\",\"link\":\"500\",\"database\":\"app\",\"user\":\"joe\","
                + "\"address\":\"[::1]:5\",\"message\":\"closing because: client \\\"x\\\" (age=1s) gone (age=12s)\","
                + "\"reason\":\"client \\\"x\\\" (age=1s) gone\",\"age_seconds\":12}")
        #expect(
            text(line) == "C-0x500: app/joe@[::1]:5 closing because: client \"x\" (age=1s) gone (age=12s)")
    }

    @Test func namesCannotPretendToBeOtherFields() {
        let line: ByteString =
            "\0S\0600\0a/b@c d\",\"event\":\"x\0u\u{1b}\\\n\u{0}1.2.3.4:5\0new connection to server"
        let found = json(line)
        #expect(found.contains("\"event\":\"server_opened\",\"side\":\"server\""))
        #expect(found.contains("\"database\":\"a/b@c d\\\",\\\"event\\\":\\\"x\""))
        #expect(found.contains("\"user\":\"u\\\\x1b\\\\\""))
        #expect(!found.utf8.contains { $0 < 0x20 })
    }

    @Test func brokenPartsAreText() {
        for line in ["\0", "\0C", "\0C\0\0\0\0", "", "\0\0\0\0\0\0"] as [ByteString] {
            #expect(json(line).hasSuffix("\"}"))
            #expect(!text(line).utf8.contains { $0 < 0x20 })
        }
    }

    @Test func statisticsAreNumbers() {
        let line: ByteString = """
            stats: 1 xacts/s, 2 queries/s, 3 client parses/s, 4 server parses/s, 5 binds/s, 6 client logins/s, \
            in 7 B/s, out 8 B/s, xact 9 us, query 10 us, wait 11 us
            """
        #expect(
            json(line).hasSuffix(
                "\"xacts_per_second\":1,\"queries_per_second\":2,\"client_parses_per_second\":3,"
                    + "\"server_parses_per_second\":4,\"binds_per_second\":5,\"client_logins_per_second\":6,"
                    + "\"in_bytes_per_second\":7,\"out_bytes_per_second\":8,\"xact_microseconds\":9,"
                    + "\"query_microseconds\":10,\"wait_microseconds\":11}"))
        #expect(
            ServiceManager.status(line.lossyText).lossyText.hasSuffix(
                "xact 9 \u{3bc}s, query 10 \u{3bc}s, wait 11 \u{3bc}s\n"))
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"), (951_868_800_050, "2000-03-01T00:00:00.050Z"),
            (4_107_542_400_007, "2100-03-01T00:00:00.007Z"), (1_735_689_599_123, "2024-12-31T23:59:59.123Z"),
        ] as [(UInt64, String)])
    func timesAreUTC(milliseconds: UInt64, wanted: String) {
        #expect(LogEntry.time(milliseconds * 1_000_000) == wanted)
    }

    @Test func everyEventIsFoundByItsOwnStart() {
        for event in LogEvent.all {
            let found = ByteString("\(event.start)x").withView { LogEvent.name(of: $0) }
            #expect("\(found)" == "\(event.name)")
            #expect("\(event.name)".utf8.allSatisfy { $0 == 0x5F || $0 >= 0x61 && $0 <= 0x7A })
        }
    }
}

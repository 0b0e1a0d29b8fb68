import Primitives
import Testing
import Wire

@Suite struct MessageKindTests {
    private func frame(_ bytes: [UInt8], at offset: Int = 0, limit: UInt32 = 1000) -> Frame {
        ByteString(bytes).withView { $0.frame(at: offset, limitBytes: limit) }
    }

    @Test(
        arguments: [
            ([0x51], .incomplete),
            ([0x51, 0, 0, 0], .incomplete),
            ([0x51, 0, 0, 0, 4], .header(FrameHeader(kind: 0x51, messageBytes: 5))),
            ([0x51, 0, 0, 3, 0xE7], .header(FrameHeader(kind: 0x51, messageBytes: 1000))),
            ([0x51, 0, 0, 3, 0xE8], .malformed),
            ([0x51, 0, 0, 0, 3], .malformed),
            ([0x51, 0, 0, 0, 0], .malformed),
            ([0x51, 0x7F, 0xFF, 0xFF, 0xFF], .malformed),
            ([0x51, 0x80, 0, 0, 0], .malformed),
            ([0x51, 0xFF, 0xFF, 0xFF, 0xFF], .malformed),
        ] as [([UInt8], Frame)])
    func lengths(_ bytes: [UInt8], _ expected: Frame) {
        #expect(frame(bytes) == expected)
    }

    @Test func theLongestLengthDoesNotOverflow() {
        #expect(frame([0x51, 0xFF, 0xFF, 0xFF, 0xFF], limit: .max) == .malformed)
        #expect(
            frame([0x51, 0xFF, 0xFF, 0xFF, 0xFE], limit: .max)
                == .header(FrameHeader(kind: 0x51, messageBytes: 0xFFFF_FFFF)))
    }

    @Test func framesAreReadAtAnyOffset() {
        #expect(
            frame([9, 9, 0x53, 0, 0, 0, 4], at: 2) == .header(FrameHeader(kind: 0x53, messageBytes: 5)))
        #expect(frame([9, 9], at: 2) == .incomplete)
        #expect(frame([9, 9], at: -1) == .incomplete)
        #expect(frame([9, 9], at: .max) == .incomplete)
    }

    @Test func kindsAreTheManuals() {
        let client = "BCdcfDEHFPpQSX"
        let server = "RK23CdcGHWDIEVvnNAtS1sZT"
        #expect(client.utf8.allSatisfy { ClientMessageKind(rawValue: $0) != nil })
        #expect(server.utf8.allSatisfy { ServerMessageKind(rawValue: $0) != nil })
        #expect((0...255).count { ClientMessageKind(rawValue: UInt8($0)) != nil } == client.count)
        #expect((0...255).count { ServerMessageKind(rawValue: UInt8($0)) != nil } == server.count)
    }
}

import Primitives
import Testing

@testable import Daemon

@Suite struct BlockTests {
    private func bytes(_ count: Int) -> ByteString {
        ByteString((0..<count).map { UInt8(truncatingIfNeeded: $0) })
    }

    @Test func bytesComeOutInOrder() {
        var store = BlockStore()
        var block = store.take(10)
        bytes(600).withView { block.append($0) }
        block.consume(500)
        block = store.makeRoom(for: 900, in: block)
        bytes(900).withView { block.append($0) }
        #expect(ByteString(block.view) == ByteString(Array(bytes(600).bytes[500...]) + bytes(900).bytes))
        store.give(block)
    }

    @Test func largeBlocksShrink() {
        var store = BlockStore()
        var block = store.take(100_000)
        #expect(block.capacity == 100_000)
        bytes(100_000).withView { block.append($0) }
        block.consume(99_000)
        block = store.fitted(block)
        #expect(block.capacity == 1024)
        #expect(ByteString(block.view) == ByteString(Array(bytes(100_000).bytes[99_000...])))
        store.give(block)
    }

    @Test func blocksAreReused() {
        var store = BlockStore()
        let first = store.take(1)
        let address = first.tail
        store.give(first)
        let second = store.take(1)
        #expect(second.tail == address)
        store.give(second)
    }
}

@Suite struct EventWordTests {
    @Test func wordsAndTheirMeaningsAgree() {
        let link = LinkID.server(ServerID(Handle(slot: 0xFFFFF, generation: 0x7FFF_FFFF)))
        guard case .link(let same)? = EventWord(EventWord.link(link).word) else {
            return #expect(Bool(false))
        }
        #expect(same == link)
        guard case .listener(3)? = EventWord(EventWord.listener(3).word) else { return #expect(Bool(false)) }
        let lingering = EventWord.lingering(place: 1023, stamp: 0xFFFF)
        guard case .lingering(1023, 0xFFFF)? = EventWord(lingering.word) else { return #expect(Bool(false)) }
        guard case .signals? = EventWord(EventWord.signals.word) else { return #expect(Bool(false)) }
        guard case .resolver? = EventWord(EventWord.resolver.word) else { return #expect(Bool(false)) }
        guard case nil = EventWord(0) else { return #expect(Bool(false)) }
    }
}

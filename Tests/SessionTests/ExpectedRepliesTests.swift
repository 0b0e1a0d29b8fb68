import Session
import Testing

/// The ledger, rule by rule. Each script is a line of words: requests in lower case are sent, replies in upper case
/// come from the server.
@Suite struct ExpectedRepliesTests {
    /// What became of each reply: `q` or `q.` (ends the entry) for the request it was for, `!` for out of step.
    private func run(_ script: String) -> (verdicts: String, ledger: String) {
        var replies = ExpectedReplies()
        var verdicts: [String] = []
        let requests: [String: Request] = [
            "q": .query, "f": .functionCall, "s": .sync, "p": .parse, "u": .parseUnnamed, "b": .bind,
            "d": .describeStatement, "o": .describePortal, "e": .execute, "c": .close,
        ]
        for word in script.split(separator: " ").map(String.init) {
            let disposition: Disposition =
                word.hasSuffix("*") ? .answer : word.hasSuffix("~") ? .swallow : .forward
            if let request = requests[String(word.prefix(1))] {
                replies.expect(ExpectedReply(request, disposition))
            } else {
                verdicts.append(Self.reply(word, &replies))
            }
            while let answer = replies.takeAnswer() {
                verdicts.append("(\(Self.letter(answer.request)))")
            }
        }
        var ledger = replies.takeAll().map { Self.letter($0.request) }.joined()
        if replies.skipsToSync { ledger += " skipping" }
        if replies.copyIn != .none { ledger += " \(replies.copyIn)" }
        return (verdicts.joined(separator: " "), ledger)
    }

    private static func reply(_ word: String, _ replies: inout ExpectedReplies) -> String {
        switch word {
        case "1": return text(replies.parseComplete())
        case "2": return text(replies.bindComplete())
        case "3": return text(replies.closeComplete())
        case "P": return text(replies.portalSuspended())
        case "T": return text(replies.rowDescription())
        case "N": return text(replies.noData())
        case "PD": return text(replies.parameterDescription())
        case "D": return text(replies.rows())
        case "V": return text(replies.functionResult())
        case "C": return text(replies.commandComplete())
        case "G": return replies.copyInResponse().map { "G\($0)" } ?? "!"
        case "Z": return text(replies.readyForQuery())
        case "END":
            replies.copyEndSent()
            return "end"
        case "E":
            var dropped = ""
            let verdict = replies.error { dropped += letter($0.request) }
            return text(verdict) + (dropped.isEmpty ? "" : "-" + dropped)
        default: return "?"
        }
    }

    private static func text(_ verdict: ExpectedReplies.Verdict) -> String {
        switch verdict {
        case .part(let reply): letter(reply.request)
        case .completes(let reply): letter(reply.request) + "."
        case .outOfStep: "!"
        }
    }

    private static func letter(_ request: Request) -> String {
        switch request {
        case .query: "q"
        case .functionCall: "f"
        case .sync: "s"
        case .parse: "p"
        case .parseUnnamed: "u"
        case .bind: "b"
        case .describeStatement: "d"
        case .describePortal: "o"
        case .execute: "e"
        case .close: "c"
        case .copyEnd: "x"
        }
    }

    struct Script: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var words: String
        var verdicts: String
        var ledger: String
        init(_ name: String, _ words: String, _ verdicts: String, left ledger: String = "") {
            testDescription = name
            self.words = words
            self.verdicts = verdicts
            self.ledger = ledger
        }
    }

    static let scripts: [Script] = [
        Script("a query", "q T D D C Z", "q q q q q."),
        Script("several results", "q T D C T D C Z", "q q q q q q q."),
        Script("two queries in one write", "q q T C Z T C Z", "q q q. q q q."),
        Script("an empty query", "q C Z", "q q."),
        Script("a failing query", "q T D E Z", "q q q q."),
        Script("a bare ReadyForQuery answers no query", "q Z", "!", left: "q"),
        Script("rows are no result", "q T D Z", "q q !", left: "q"),
        Script("a bare ReadyForQuery answers a Sync", "s Z", "s."),
        Script("an error at the Sync itself", "s E Z", "s s."),
        Script("a function call", "f V Z", "f f."),
        Script("a function call without result", "f Z", "!", left: "f"),
        Script("a failing function call", "f E Z", "f f."),
        Script("a function result for a query", "q V", "!", left: "q"),
        Script("extended", "p b o e s 1 2 T D C Z", "p. b. o. e e. s."),
        Script("a statement described", "d s PD T Z", "d d. s."),
        Script("a statement without rows described", "d s PD N Z", "d d. s."),
        Script("a portal without rows described", "o s N Z", "o. s."),
        Script("a portal suspended", "e e s P D C Z", "e. e e. s."),
        Script("close", "c s 3 Z", "c. s."),
        Script("unnamed", "u s 1 Z", "u. s."),
        Script("two segments", "p s b e s 1 Z 2 C Z", "p. s. b. e. s."),
        Script("an error skips to Sync", "p b e s q E Z C Z", "p.-pbe s. q q."),
        Script("an error skips a query, too", "p b q s E Z", "p.-pbq s."),
        Script("an error before its Sync was sent", "p b E e c s Z", "p.-pb s."),
        Script("nothing is expected while skipping", "b E q p f", "b.-b", left: " skipping"),
        Script(
            "an error in the middle of a pipeline", "p s b e s p s 1 Z E Z 1 Z", "p. s. b.-be s. p. s."),
        Script("an error while executing", "b e s 2 D E Z", "b. e e.-e s."),
        Script("answers of ours in order", "p c* e s 1 C Z", "p. (c) e. s."),
        Script("an answer of ours at the front", "c* s Z", "(c) s."),
        Script("an answer of ours is skipped, too", "p c* s E Z", "p.-pc s."),
        Script("an answer behind a query waits for it", "q p* C Z", "q q. (p)"),
        Script("several answers", "b p* c* s 2 Z", "b. (p) (c) s."),
        Script("copy in, simple", "q G END C Z", "G0 end q q."),
        Script("copy in, refused by the server half way", "q G E Z", "G0 q q."),
        Script("copy in, Syncs sent while it runs", "e G s s END s C Z", "G0 end e. s."),
        Script("copy in, Sync sent ahead", "e s G END s C Z", "G1 end e. s."),
        Script("copy in, two Syncs sent ahead", "e s s G END s C Z", "G2 end e. s."),
        Script("copy in, all sent ahead", "e s END s G C Z", "end G1 e. s."),
        Script("copy in, all sent ahead, simple", "q END G C Z", "end G0 q q."),
        Script("copy in, error while it runs", "e G s END s E Z", "G0 end e.-e s."),
        Script("copy in, error before the end was sent", "e G E s Z", "G0 e.-e s."),
        Script("copy in, only up to its end are Syncs ignored", "e END s G C Z", "end G0 e. s."),
        Script("copy in, twice in one query", "q G END C G END C Z", "G0 end q G0 end q q."),
        Script("a result in the middle of copy in", "q G C", "G0 !", left: "q taking"),
        Script("a ReadyForQuery in the middle of copy in", "q G Z", "G0 !", left: "q taking"),
        Script("copy in that nobody asked for", "s G", "!", left: "s"),
        Script("copy in inside copy in", "q G G", "G0 !", left: "q taking"),
        Script("copy out", "q D D D C Z", "q q q q q."),
        Script("the end of no copy", "q END C Z", "end q q.", left: ""),
        Script("the end of no copy, nothing asked", "END q C Z", "end q q."),
        Script("nothing asked: rows", "D", "!"),
        Script("nothing asked: ReadyForQuery", "Z", "!"),
        Script("nothing asked: a result", "C", "!"),
        Script("nothing asked: an error", "E", "!"),
        Script("a second ReadyForQuery", "q C Z Z", "q q. !"),
        Script("ParseComplete for a Bind", "b 1", "!", left: "b"),
        Script("BindComplete for a Parse", "p 2", "!", left: "p"),
        Script("CloseComplete for a query", "q 3", "!", left: "q"),
        Script("PortalSuspended for a query", "q P", "!", left: "q"),
        Script("NoData for a query", "q N", "!", left: "q"),
        Script("ParameterDescription for a portal", "o PD", "!", left: "o"),
        Script("rows for a Describe", "d D", "!", left: "d"),
        Script("a result for a Bind", "b C", "!", left: "b"),
        Script("RowDescription for an Execute", "e T", "!", left: "e"),
        Script("ReadyForQuery for an Execute", "e Z", "!", left: "e"),
    ]

    @Test(arguments: scripts)
    func script(_ given: Script) {
        let (verdicts, ledger) = run(given.words)
        #expect(verdicts == given.verdicts)
        #expect(ledger == given.ledger)
    }

    @Test func settledMeansNothingOwedSkippedOrCopied() {
        var replies = ExpectedReplies()
        var isSettled = replies.isSettled
        #expect(isSettled)
        replies.expect(ExpectedReply(.bind))
        isSettled = replies.isSettled
        #expect(!isSettled)
        _ = replies.error { _ in }
        let (isEmpty, skips) = (replies.isEmpty, replies.skipsToSync)
        #expect(isEmpty)
        #expect(skips)
        isSettled = replies.isSettled
        #expect(!isSettled)
    }

    @Test func segmentsCountSyncs() {
        var replies = ExpectedReplies()
        replies.expect(ExpectedReply(.parse))
        let first = replies.segment
        replies.expect(ExpectedReply(.sync))
        let second = replies.segment
        replies.expect(ExpectedReply(.query))
        let third = replies.segment
        #expect([first, second, third] == [0, 1, 1])
    }

    @Test func theLedgerSaysWhenItIsFull() {
        var replies = ExpectedReplies()
        for _ in 0..<(ExpectedReplies.limit - 1) { replies.expect(ExpectedReply(.sync)) }
        var isFull = replies.isFull
        #expect(!isFull)
        replies.expect(ExpectedReply(.sync))
        isFull = replies.isFull
        #expect(isFull)
        _ = replies.readyForQuery()
        isFull = replies.isFull
        #expect(!isFull)
    }

    @Test func whatEntriesCarryComesBack() {
        var replies = ExpectedReplies()
        let entry = ExpectedReply(.parse, .swallow, statement: 7, name: 9)
        replies.expect(entry)
        let front = replies.front
        #expect(front == entry)
        let verdict = replies.parseComplete()
        #expect(verdict == .completes(entry))
    }
}

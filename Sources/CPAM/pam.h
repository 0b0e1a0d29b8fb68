#pragma once
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cpam_talk {
    const char *password;
    // What a module had to say.
    char words[200];
};

// Answers whoever asks for something secret with the password, and nobody else.
static inline int cpam_converse(
    int count, const struct pam_message **asked, struct pam_response **answers, void *owner) {
    struct cpam_talk *talk = (struct cpam_talk *)owner;
    if (count < 1 || count > PAM_MAX_NUM_MSG || asked == NULL) return PAM_CONV_ERR;
    for (int i = 0; i < count; i++)
        if (asked[i]->msg_style == PAM_ERROR_MSG && asked[i]->msg != NULL)
            snprintf(talk->words, sizeof talk->words, "%s", asked[i]->msg);
    // Some modules want no answer to what is no question.
    if (answers == NULL) return PAM_SUCCESS;
    struct pam_response *all = (struct pam_response *)calloc((size_t)count, sizeof *all);
    if (all == NULL) return PAM_BUF_ERR;
    for (int i = 0; i < count; i++) {
        int isSecret = asked[i]->msg_style == PAM_PROMPT_ECHO_OFF;
        // Never NULL: others look at it.
        all[i].resp = strdup(isSecret ? talk->password : "");
        if (all[i].resp != NULL) continue;
        while (i-- > 0) {
            explicit_bzero(all[i].resp, strlen(all[i].resp));
            free(all[i].resp);
        }
        free(all);
        return PAM_BUF_ERR;
    }
    *answers = all;
    return PAM_SUCCESS;
}

static inline void cpam_wipe(void *room, size_t count) { explicit_bzero(room, count); }

// Whether PAM lets this user in with this password. 1, or 0 and the reason in `room`.
static inline int cpam_check(
    const char *service, const char *user, const char *password, const char *host, char *room, size_t count) {
    struct cpam_talk talk = {.password = password};
    struct pam_conv conversation = {.conv = cpam_converse, .appdata_ptr = &talk};
    pam_handle_t *handle = NULL;
    const char *step = "pam_start()";
    int result = pam_start(service, user, &conversation, &handle);
    if (result == PAM_SUCCESS) {
        step = "pam_set_item(PAM_RHOST)";
        result = pam_set_item(handle, PAM_RHOST, host);
    }
    if (result == PAM_SUCCESS) {
        step = "pam_authenticate()";
        result = pam_authenticate(handle, PAM_SILENT);
    }
    if (result == PAM_SUCCESS) {
        step = "pam_acct_mgmt()";
        result = pam_acct_mgmt(handle, PAM_SILENT);
    }
    if (result != PAM_SUCCESS) {
        snprintf(
            room, count, "%s failed: %s%s%s", step, pam_strerror(handle, result), talk.words[0] ? ": " : "",
            talk.words);
    }
    if (handle != NULL) pam_end(handle, result);
    return result == PAM_SUCCESS;
}

package plan_test

const head = "---\nkind: hypercare-plan\nid: hypercare\nschema: 1\nservice: s\nsignoff: [lead]\n---\n"

"use strict";

// Swagger UI 4 knows OpenAPI 3.0. The document is read with the caller's token once there is one, because what it says
// of custom fields depends on who reads it.
let token = "";

const rereadSignedIn = {
  statePlugins: {
    auth: {
      wrapActions: {
        authorize: (original, system) => (given) => {
          const result = original(given);
          token = (given.token && given.token.value) || token;
          system.specActions.download();
          return result;
        },
        logout: (original, system) => (names) => {
          const result = original(names);
          token = names.includes("token") ? "" : token;
          system.specActions.download();
          return result;
        },
      },
    },
  },
};

SwaggerUIBundle({
  url: "/api/schema/?openapi=3.0",
  dom_id: "#document",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  filter: true,
  validatorUrl: null,
  plugins: [rereadSignedIn],
  requestInterceptor: (request) => {
    if (request.loadSpec && token) request.headers.Authorization = `Bearer ${token}`;
    return request;
  },
});
